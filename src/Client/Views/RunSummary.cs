using Phi3VCluster.Client.App;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Views;

/// <summary>One run, for a person.</summary>
internal static class RunSummary
{
    private const int NameWidth = 14, MostGenerations = 5;

    /// <param name="phase">The last one before the run ended, where somebody saw it.</param>
    public static void Show(Output to, RunStatus s, string phase = "")
    {
        Row("run", s.Run);
        Row("state", StateOf(s, phase));
        if (s.Priority != 0) Row("priority", $"{s.Priority}");
        if (s.WaitingFor is { } wait) Row(s.Phase is "regrouping" or "parting" ? "now" : "waits for", wait);
        if (s.Error is { } error) Row("error", error);
        if (s.TotalSteps > 0 || s.Step > 0) Row("step", s.TotalSteps > 0 ? $"{s.Step} of {s.TotalSteps}" : $"{s.Step}");
        if (s.TotalSteps > 0 || s.Step > 0) Row("epochs done", $"{s.Epoch} of {s.Epochs}");
        if (!s.IsFinal && s.CheckpointStep > 0) Row("checkpoint", $"step {s.CheckpointStep}");
        if (s.Loss is { } loss) Row("loss", Words.Number(loss));
        if (s.ImagesPerSecond is { } speed) Row("images/s", Words.Number(speed, "0.0"));
        if (s.Nodes.Count > 0) Row("ranks", string.Join("; ", s.Nodes.Select(n => $"{string.Join(", ", n.Ranks)} on {n.Node}")));
        var report = WrittenReport.Read(s.Output);
        if (s.Generations.Count > 1) Row("generation", string.Join('\n', s.Generations.TakeLast(MostGenerations).Select(Generation)));
        if ((s.EvalBefore is not null || s.EvalAfter is not null) && s.Metric != EvaluationSpec.Loss)
            Row(s.Metric ?? "score", $"{Words.Number(s.EvalBefore)} → {Words.Number(s.EvalAfter)}");
        if (report.HeldOutLosses is [var first, .., var last]) Row("held-out loss", $"{Words.Number(first)} → {Words.Number(last)}");
        if (s.Seconds > 0) Row("time", Words.Took(s.Seconds));
        if (Directory.Exists(s.Output)) Row("output", s.Output);
        if (s.State == RunState.Done && report.Exported is { } exported) ShowNext(to, s, exported);

        void Row(string name, string value) =>
            to.Line($"{name.PadRight(NameWidth)}{value.ReplaceLineEndings("\n" + new string(' ', NameWidth))}");
    }

    /// <summary>The exit code of a command that waited for the run.</summary>
    public static int ExitCodeOf(RunStatus s) => s.State == RunState.Done ? ExitCode.Done : ExitCode.Failed;

    private static string Generation(FormedGeneration g) =>
        $"{g.Generation}: {g.Cause}; {Words.Ranks(g.WorldSize)} from step {g.FirstStep}, after {Words.Number(g.Seconds, "0.0")} s";

    private static string StateOf(RunStatus s, string phase)
    {
        if (s.State is RunState.Failed or RunState.Cancelled && phase.Length > 0) return $"{Words.Of(s.State)}, while {phase}";
        return s.State == RunState.Running && s.Phase.Length > 0 ? $"{Words.Of(s.State)}: {RunStatusText.Phase(s)}" : Words.Of(s.State);
    }

    /// <param name="exported">The folder within the run's: adapter or model.</param>
    private static void ShowNext(Output to, RunStatus s, string exported)
    {
        var result = Path.Combine(s.Output, exported);
        to.Line($"{exported.PadRight(NameWidth)}{result}");
        var model = exported == "adapter"
            ? $"--model {ShellWord.Of(ModelOf(s.Output))} --adapter {ShellWord.Of(result)}" : $"--model {ShellWord.Of(result)}";
        to.Line($"next: phi3v generate {model} --image FILE --prompt TEXT");
        if (exported == "adapter") to.Line($"      phi3v merge {model} --to DIR");
    }

    private static string ModelOf(string folder)
    {
        try
        {
            return RunSpecYaml.ReadFile(Path.Combine(folder, "run.yaml"), []).Spec.Model.Path;
        }
        catch (InputException)
        {
            return "DIR";
        }
    }
}
