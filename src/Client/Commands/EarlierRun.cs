using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

/// <summary>A run that ended, or whose cluster is gone: all that is needed to go on is in its folder.</summary>
/// <param name="Folder">Its folder of results.</param>
internal sealed record EarlierRun(string Folder)
{
    /// <summary>Complete ones, the newest first.</summary>
    public IReadOnlyList<CheckpointEntry> Checkpoints { get; } = [.. RunCheckpoints.Find(Folder).Where(one => one.IsComplete)];

    /// <summary>The spec it was started with, to be checked.</summary>
    /// <param name="sets">path=value, as for submit.</param>
    /// <exception cref="InputException">The folder has none.</exception>
    public RunSpecReading Spec(IReadOnlyList<string> sets) => File.Exists(Path.Combine(Folder, "run.yaml"))
        ? RunSpecYaml.ReadFile(Path.Combine(Folder, "run.yaml"), [.. sets, $"output={Path.GetDirectoryName(Folder)}"])
        : throw new InputException($"run: {Folder} has no run.yaml, so the run never began; submit it.");

    /// <summary>As <see cref="Spec"/>, for a run that goes on: what its numbers depend on stays as it was.</summary>
    /// <exception cref="InputException">The folder has none, or all that would change, side by side.</exception>
    public RunSpecReading SpecToGoOn(IReadOnlyList<string> sets)
    {
        var reading = Spec(sets);
        var problems = reading.Problems.Count > 0 ? [] : SpecDifferences.Between(Spec([]).Spec, reading.Spec)
            .Select(one => $"{one.Path}: was {one.Before} when the run began, got {one.After}; a run that goes on keeps it.").ToList();
        return problems.Count == 0 ? reading : throw new InputException(problems);
    }

    /// <exception cref="InputException">There is none of that step, or none at all.</exception>
    public void RequireCheckpoint(long? step)
    {
        if (Checkpoints.Any(one => step is null || one.Step == step)) return;
        var known = string.Join(", ", Checkpoints.Select(one => one.Step).Distinct().Order());
        throw new InputException(Checkpoints.Count == 0
            ? $"run: {Folder} has no checkpoint; `phi3v submit {ShellWord.Of(Path.Combine(Folder, "run.yaml"))}` runs it anew, "
                + $"--set checkpoint.everySteps=N with N below its {Steps} steps writes some."
            : $"--step: no checkpoint is of this step, got {step}; there are {known}.");
    }

    /// <summary>
    /// A run without a checkpoint begins anew, whatever it had trained: its record of steps, if it has one, is kept beside.
    /// </summary>
    /// <returns>Where it was, and where it is.</returns>
    public IReadOnlyList<(string From, string To)> SetStepsAside()
    {
        var steps = Path.Combine(Folder, "steps.jsonl");
        if (!File.Exists(steps)) return [];
        var to = Enumerable.Range(1, int.MaxValue).Select(n => Path.Combine(Folder, $"steps-before-{n}.jsonl"))
            .First(path => !File.Exists(path));
        File.Move(steps, to);
        return [(steps, to)];
    }

    /// <summary>
    /// Makes the checkpoint of a step the newest: newer ones, whatever their step, would be taken for what the run came to. They are kept
    /// beside.
    /// </summary>
    /// <returns>Where each was, and where it is.</returns>
    public IReadOnlyList<(string From, string To)> SetAsideAfter(long step)
    {
        var moves = Checkpoints.TakeWhile(one => one.Step != step).Select(one => (one.Folder, To: Free(one.Folder))).ToList();
        foreach (var (from, to) in moves)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            Directory.Move(from, to);
        }
        return moves;
    }

    private string Free(string folder)
    {
        var wanted = Path.Combine(RunCheckpoints.RootOf(Folder), "set-aside", Path.GetFileName(folder));
        return Enumerable.Range(1, int.MaxValue).Select(n => n == 1 ? wanted : $"{wanted}-{n}").First(path => !Directory.Exists(path));
    }

    /// <exception cref="InputException">It has come to its end.</exception>
    public void RequireUnfinished()
    {
        if (WrittenReport.Read(Folder) is { IsDone: true, Steps: var steps })
            throw new InputException($"run: {Path.GetFileName(Folder)} is done, after {steps} steps; "
                + "`phi3v export` makes an adapter or a model of a checkpoint.");
    }

    private long Steps => File.Exists(Path.Combine(Folder, "steps.jsonl"))
        ? File.ReadLines(Path.Combine(Folder, "steps.jsonl")).Count()
        : 0;
}
