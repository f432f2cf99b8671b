using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

internal sealed class ResumeCommand : Verb
{
    private readonly Argument<string> _run = RunPlace.Argument();
    private readonly Option<long?> _step = new("--step")
    {
        Description = "Go on from the checkpoint of this step; else the newest.",
        HelpName = "N",
    };
    private readonly Option<string[]> _set = SpecSource.SetOption();
    private readonly Option<bool> _wait = new("--wait")
    {
        Description = "Stay until the run has ended. With no cluster, start a local one for it.",
    };
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public ResumeCommand() : base("resume", "Go on with a run that failed, was cancelled, or lost its cluster: same id, same folder.",
        "phi3v resume last --set cluster.maxRanks=4 --wait")
    {
        Arguments.Add(_run);
        foreach (var option in (Option[])[_step, _set, _wait, _cluster]) Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var (address, step) = (ClusterAddress.Find(parsed.GetValue(_cluster)), parsed.GetValue(_step));
        var run = new EarlierRun(await RunPlace.FindAsync(parsed.GetRequiredValue(_run), address, interrupted));
        FolderClaim.RequireFree(run.Folder);
        await RequireEndedAsync(Path.GetFileName(run.Folder), address, interrupted);
        run.RequireUnfinished();
        if (step is not null) run.RequireCheckpoint(step);
        var spec = SpecSource.Check(run.SpecToGoOn(parsed.GetRequiredValue(_set)), address, output);
        if (!parsed.GetValue(_wait)) SubmitCommand.RequireCluster(parsed.GetValue(_cluster)); // before anything is moved
        var moved = step is { } wanted ? run.SetAsideAfter(wanted) : run.Checkpoints.Count == 0 ? run.SetStepsAside() : [];
        if (run.Checkpoints.Count == 0) output.Line($"{Path.GetFileName(run.Folder)} has no checkpoint: it begins anew");
        foreach (var (from, to) in moved) output.Line($"{Path.GetFileName(from)} is set aside, in {to}");
        try
        {
            return await SubmitCommand.SubmitAsync(
                new(spec, run.Folder), parsed.GetValue(_wait), parsed.GetValue(_cluster), output, interrupted);
        }
        catch (Exception error) when (error is InputException or NoClusterException) // nothing has begun
        {
            foreach (var (from, to) in moved) Directory.Move(to, from); // a file as well
            throw;
        }
    }

    /// <summary>
    /// Asked before anything of the run is moved: the cluster that is to go on with it, or one that is up and is not asked, may be at it.
    /// </summary>
    /// <exception cref="InputException">It is.</exception>
    private static async Task RequireEndedAsync(string run, ClusterAddress? address, CancellationToken interrupted)
    {
        var (asked, isOther) = (address, false);
        if (asked is null && UpState.Running() is { } up) (asked, isOther) = (new("127.0.0.1", up.GatewayPort), true);
        if (asked is null) return;
        await using var cluster = isOther
            ? await ClusterConnection.OpenQuicklyAsync(asked, interrupted) : await ClusterConnection.OpenAsync(asked, interrupted);
        if ((await cluster.RunsAsync()).FirstOrDefault(known => known.Run == run) is not { IsFinal: false } known) return;
        throw new InputException($"run: must have ended to be resumed, got {run}, which is {Words.Of(known.State)} in the cluster at "
            + $"{asked.Said}; wait for it, or end it with `phi3v cancel {run}`.");
    }
}
