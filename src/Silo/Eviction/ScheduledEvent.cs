using System.Globalization;

namespace Phi3VCluster.Silo.Eviction;

/// <summary>What Azure is about to do to some machines, as its metadata service says ("Scheduled Events", 2020-07-01).</summary>
/// <param name="EventType">Preempt (a spot machine is taken away), Terminate, Redeploy, Reboot, or Freeze (a pause of seconds).</param>
/// <param name="Resources">Names of machines, others than the one that asks among them.</param>
/// <param name="EventStatus">Scheduled or Started.</param>
/// <param name="NotBefore">RFC 1123; empty when it has started.</param>
internal sealed record ScheduledEvent(
    string EventId, string EventType, IReadOnlyList<string>? Resources, string? EventStatus, string? NotBefore)
{
    private static readonly string[] Ends = ["Preempt", "Terminate", "Redeploy", "Reboot"];

    /// <summary>A reboot is told a quarter of an hour ahead, which is not to be wasted.</summary>
    private static readonly TimeSpan Ahead = TimeSpan.FromMinutes(2);

    /// <summary>Whether it ends what runs on a machine, and soon.</summary>
    public bool EndsSoon(string machine, DateTimeOffset now) =>
        Ends.Contains(EventType, StringComparer.OrdinalIgnoreCase)
        && Resources?.Contains(machine, StringComparer.OrdinalIgnoreCase) == true
        && (!DateTimeOffset.TryParse(NotBefore, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var at)
            || at - now < Ahead);
}
