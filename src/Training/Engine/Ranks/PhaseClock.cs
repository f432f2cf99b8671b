using System.Diagnostics;

namespace Phi3VCluster.Training.Engine;

/// <summary>Where a rank's time goes: seconds by phase, with exactly one phase running at any moment.</summary>
internal sealed class PhaseClock
{
    private readonly Dictionary<string, double> _seconds = [];
    private string _current = Phase.Idle;
    private long _since = Stopwatch.GetTimestamp();

    public IReadOnlyDictionary<string, double> Seconds => _seconds;

    /// <summary>Where the times are told; null before the first generation.</summary>
    public RankMetrics? Metrics { get; set; }

    /// <summary>Ends the current phase and begins another.</summary>
    public void Enter(string phase)
    {
        Add(_current, SinceLast());
        _current = phase;
    }

    /// <summary>Counts the time since the last call as two phases, when only the callee knew where the first ended.</summary>
    public void Split(string first, double firstSeconds, string second)
    {
        var elapsed = SinceLast();
        Add(first, Math.Min(firstSeconds, elapsed));
        Add(second, Math.Max(0, elapsed - firstSeconds));
    }

    private double SinceLast()
    {
        var now = Stopwatch.GetTimestamp();
        var elapsed = Stopwatch.GetElapsedTime(_since, now).TotalSeconds;
        _since = now;
        return elapsed;
    }

    private void Add(string phase, double seconds)
    {
        _seconds[phase] = _seconds.GetValueOrDefault(phase) + seconds;
        Metrics?.PhaseTook(phase, seconds);
    }
}

/// <summary>The phases' names, as the metric <c>phi3v_phase_seconds_total</c> labels them.</summary>
internal static class Phase
{
    public const string Data = "data", Forward = "forward", Backward = "backward", Reduce = "reduce", Optimizer = "optimizer",
        Idle = "idle", Restore = "restore", Evaluate = "evaluate", Export = "export";
}
