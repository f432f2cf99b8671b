using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Views;

/// <summary>Where a run is, in a line.</summary>
internal static class RunStatusText
{
    private const string Training = "training";

    /// <summary>E.g. "evaluating after".</summary>
    public static string Phase(RunStatus s) => (s.Phase.Length > 0 ? s.Phase : Words.Of(s.State)).Replace('-', ' ');

    /// <summary>What the run waits for, or, where its phase is a wait, how far that is.</summary>
    public static string? Waiting(RunStatus s) => s.WaitingFor is not { } wait ? null
        : s.Phase is "regrouping" or "parting" && wait.StartsWith(s.Phase, StringComparison.Ordinal)
            ? wait[s.Phase.Length..].TrimStart(',', ' ')
        : wait.StartsWith("the drain", StringComparison.Ordinal) ? wait
        : $"waits for {wait}";

    /// <summary>Of what the bar shows: the steps while there are some to come, and what is counted within another phase.</summary>
    public static double Share(RunStatus s) => s.Phase != Training && PartShare(s) is { } part ? part
        : s.TotalSteps > 0 ? (double)s.Step / s.TotalSteps : 0;

    /// <summary>Says only what is known yet.</summary>
    /// <param name="phaseSeconds">Since the phase began; null leaves the clock out.</param>
    public static string Progress(RunStatus s, double? phaseSeconds)
    {
        var parts = new List<string> { Phase(s) };
        if (Waiting(s) is { } wait) parts.Add(wait);
        if (s.Part is { Total: > 0 } part && (s.Phase != Training || StepsAreLong(s))) parts.Add(Part(part));
        if (s.TotalSteps > 0 && (s.Phase == Training || s.Step > 0)) parts.Add($"step {s.Step}/{s.TotalSteps}");
        if (s.Step > 0 && s.Phase == Training) parts.Add($"epoch {Math.Min(s.Epoch + 1, s.Epochs)}/{s.Epochs}");
        if (s.Loss is { } loss) parts.Add($"loss {Words.Number(loss)}");
        if (s.ImagesPerSecond is { } speed && s.Phase == Training) parts.Add($"{Words.Number(speed, "0.0")} img/s");
        if (SecondsLeft(s, phaseSeconds) is { } left) parts.Add($"ETA {Words.Duration(left)}");
        if (phaseSeconds is { } seconds && s.Phase != Training) parts.Add(Words.Duration(seconds));
        if (s.WorldSize > 0) parts.Add(Words.Ranks(s.WorldSize));
        if (s.Generation > 1) parts.Add($"generation {s.Generation}");
        return string.Join("  ", parts);
    }

    /// <summary>Passes within a step are of interest where a step takes longer than a look.</summary>
    private static bool StepsAreLong(RunStatus s) => s.Part!.Total > 1 && s.StepSeconds is null or > 4;

    private static string Part(ReportedPart part) => part.Unit == "bytes"
        ? $"{Words.Bytes(part.Done)} of {Words.Bytes(part.Total)}" : $"{Count(part.Done)}/{Count(part.Total)} {part.Unit}";

    private static string Count(long number) => number switch
    {
        < 1_000_000 => Words.Number(number, "0"),
        < 1_000_000_000 => $"{Words.Number(number / 1e6, "0")}M",
        _ => $"{Words.Number(number / 1e9, "0.00")}G",
    };

    private static double? PartShare(RunStatus s) => s.Part is { Total: > 0 } part ? (double)part.Done / part.Total : null;

    private static double? SecondsLeft(RunStatus s, double? phaseSeconds) => s switch
    {
        { State: not RunState.Running } => null,
        { Phase: Training, StepSeconds: { } each } when s.TotalSteps > s.Step => each * (s.TotalSteps - s.Step),
        { Phase: not Training } when phaseSeconds > 2 && PartShare(s) is > 0 and < 1 and var share => phaseSeconds / share * (1 - share),
        _ => null,
    };
}
