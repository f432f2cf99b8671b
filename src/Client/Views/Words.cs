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

    /// <summary>How long something took; fractions where they count.</summary>
    public static string Took(double seconds) => seconds < 10 ? $"{Number(seconds, "0.0")} s" : Duration(seconds);
}
