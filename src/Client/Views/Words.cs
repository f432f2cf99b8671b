using System.Globalization;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Views;

/// <summary>How states and numbers are written for people, and states for machines.</summary>
internal static class Words
{
    private static readonly string[] Units = ["B", "kB", "MB", "GB", "TB", "PB"];

    public static string Of(RunState state) => state.ToString().ToLowerInvariant();

    public static string Of(NodeState state) => state.ToString().ToLowerInvariant();

    public static string Number(double? value, string format = "0.0000") => value?.ToString(format, CultureInfo.InvariantCulture) ?? "-";

    public static string Duration(double seconds) => TimeSpan.FromSeconds(Math.Clamp(seconds, 0, 8e6)) is var time && time.TotalHours >= 1
        ? $"{(int)time.TotalHours}:{time.Minutes:00}:{time.Seconds:00}"
        : $"{time.Minutes}:{time.Seconds:00}";

    /// <summary>In thousands, as the hub and disks count.</summary>
    public static string Bytes(double count)
    {
        var unit = 0;
        for (; count >= 999.5 && unit < Units.Length - 1; unit++) count /= 1000;
        return $"{Number(count, unit == 0 || count >= 99.95 ? "0" : count >= 9.995 ? "0.0" : "0.00")} {Units[unit]}";
    }

    public static string Files(int count) => count == 1 ? "1 file" : $"{count} files";

    public static string Ranks(int count) => count == 1 ? "1 rank" : $"{count} ranks";

    /// <summary>Where a run is, in one line. Says only what is known yet.</summary>
    public static string Progress(RunStatus s)
    {
        var parts = new List<string> { s.Phase.Length > 0 ? s.Phase : Of(s.State) };
        if (s.WaitingFor is { } wait) parts.Add($"waits for {wait}");
        if (s.TotalSteps > 0) parts.Add($"step {s.Step}/{s.TotalSteps}");
        if (s.Step > 0) parts.Add($"epoch {Math.Min(s.Epoch + 1, s.Epochs)}/{s.Epochs}");
        if (s.Loss is { } loss) parts.Add($"loss {Number(loss)}");
        if (s.ImagesPerSecond is { } speed) parts.Add($"{Number(speed, "0.0")} img/s");
        if (SecondsLeft(s) is { } left) parts.Add($"ETA {Duration(left)}");
        if (s.WorldSize > 0) parts.Add(Ranks(s.WorldSize));
        return string.Join("  ", parts);
    }

    private static double? SecondsLeft(RunStatus s) =>
        s is { State: RunState.Running, Step: > 0, TrainSeconds: > 0 } && s.TotalSteps > s.Step
            ? s.TrainSeconds / s.Step * (s.TotalSteps - s.Step) : null;
}
