using Phi3VCluster.Client.App;
using Phi3VCluster.Grains.Interfaces;
using Spectre.Console;

namespace Phi3VCluster.Client.Views;

/// <summary>One run, for a person.</summary>
internal static class RunSummary
{
    public static void Show(IAnsiConsole screen, RunStatus s)
    {
        var grid = new Grid().AddColumn(new GridColumn().NoWrap()).AddColumn();
        Row("run", s.Run);
        Row("state", s.Phase.Length > 0 && !s.IsFinal ? $"{Words.Of(s.State)} ({s.Phase})" : Words.Of(s.State));
        if (s.WaitingFor is { } wait) Row("waits for", wait);
        if (s.Error is { } error) Row("error", error);
        Row("step", $"{s.Step} of {s.TotalSteps}");
        Row("epochs done", $"{s.Epoch} of {s.Epochs}");
        if (s.Loss is { } loss) Row("loss", Words.Number(loss));
        if (s.ImagesPerSecond is { } speed) Row("images/s", Words.Number(speed, "0.0"));
        if (s.WorldSize > 0) Row("ranks", $"{s.WorldSize} (generation {s.Generation})");
        foreach (var node in s.Nodes) Row($"  {node.Node}", $"ranks {string.Join(", ", node.Ranks)} on {node.Silo}");
        if (s.EvalBefore is { } before) Row($"{s.Metric ?? "score"} before", Words.Number(before));
        if (s.EvalAfter is { } after) Row($"{s.Metric ?? "score"} after", Words.Number(after));
        if (s.Seconds > 0) Row("time", Words.Duration(s.Seconds));
        Row("output", s.Output);
        screen.Write(grid);

        void Row(string name, string value) => grid.AddRow(new Text(name, new Style(foreground: Color.Grey)), new Text(value));
    }

    /// <summary>The exit code of a command that waited for the run.</summary>
    public static int ExitCodeOf(RunStatus s) => s.State == RunState.Done ? ExitCode.Done : ExitCode.Failed;
}
