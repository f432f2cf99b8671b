using System.Globalization;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Protocol;

namespace Phi3VCluster.Grains.Runs;

/// <summary>Where a run is, in the words of its status.</summary>
internal static class PhaseText
{
    public static string Phase(Rendezvous run, Heard heard, RunProgress progress) => run.Phase switch
    {
        RunPhase.Running => Kebab.Of(progress.Phase.ToString()),
        RunPhase.Gathering { IsFirst: true } => "gathering",
        RunPhase.Gathering => IsShort(run, heard) ? "short" : "regrouping",
        _ => Kebab.Of(run.Phase.GetType().Name),
    };

    public static string? WaitingFor(Rendezvous run, Heard heard, DateTimeOffset now) => run.Phase switch
    {
        RunPhase.Gathering { IsFirst: true } => $"{run.Seats.Count - Parked(run, heard)} of {run.Seats.Count} seats to get ready",
        RunPhase.Gathering g when IsShort(run, heard) => Short(run, g, heard, now),
        RunPhase.Gathering g => $"regrouping after {g.Why}: {Parked(run, heard)} of {run.Seats.Count} seats parked",
        RunPhase.Parting p => $"parting, because {p.Breakup.Why}: {p.Remaining.Count} of {run.Members.Length} seats to park",
        RunPhase.Stopping => $"{run.Seats.Count} {(run.Seats.Count == 1 ? "seat" : "seats")} to stop",
        RunPhase.Running { Boundary.IsEmpty: false } r => $"a boundary, because {string.Join(" and ", r.Boundary)}",
        RunPhase.Running => WaitingDrain(run),
        _ => null,
    };

    /// <summary>Whether nobody is left that could park and make it enough.</summary>
    public static bool IsShort(Rendezvous run, Heard heard) => run.Phase is RunPhase.Gathering { IsFirst: false }
        && Parked(run, heard) < run.Limits.Min
        && run.Seats.Keys.All(
            seat => heard.Of(seat) is { Report.Phase: ReportedPhase.Loading or ReportedPhase.Parked } || run.Seats[seat].IsSilent);

    private static int Parked(Rendezvous run, Heard heard) => run.Seats.Keys.Count(heard.IsParked);

    private static string Short(Rendezvous run, RunPhase.Gathering gathering, Heard heard, DateTimeOffset now)
    {
        var text = $"more seats after {gathering.Why}: {Parked(run, heard)} parked, {run.Limits.Min} needed";
        var loading = run.Seats.Keys.Count(seat => heard.Of(seat) is { Report.Phase: ReportedPhase.Loading });
        if (loading > 0) text += $", {loading} loading";
        foreach (var left in run.LeftOut.Values.Where(left => left.Until > now))
            text += string.Create(CultureInfo.InvariantCulture,
                $"; the connection between {left.Edge} broke, and is tried again in {(left.Until - now).TotalSeconds:0} s");
        return text;
    }

    private static string? WaitingDrain(Rendezvous run)
    {
        var leaving = run.Seats.Values.Where(seat => run.Draining.ContainsKey(seat.Node)).Select(seat => seat.Node).Distinct().ToList();
        return leaving.Count == 0 ? null : $"the drain of {string.Join(", ", leaving)} waits: "
            + $"{run.Seats.Values.Count(seat => !run.IsWantedBack(seat))} ranks would be left, and the run needs {run.Limits.Min}";
    }
}
