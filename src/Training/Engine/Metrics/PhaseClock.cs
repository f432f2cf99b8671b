using System.Diagnostics;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// Where a seat's time goes, from its first moment on: seconds by phase, with exactly one phase running at any moment. Its thread drives
/// it, any thread reads it.
/// </summary>
internal sealed class PhaseClock
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(int? Rank, string Phase), double> _seconds = [];
    private int? _rank;
    private string? _current = Phase.Load; // null: it has stopped
    private long _since = Stopwatch.GetTimestamp();

    /// <summary>By phase, as <see cref="Read"/>.</summary>
    public IReadOnlyDictionary<string, double> Seconds =>
        Read().GroupBy(one => one.Phase).ToDictionary(phase => phase.Key, phase => phase.Sum(one => one.Seconds));

    /// <summary>
    /// By the rank that the seat was, and by phase; no rank before the first generation. Up to now, without a pass that is under way: what
    /// of it was forward is known when it is over, and a counter cannot take back.
    /// </summary>
    public IReadOnlyList<(int? Rank, string Phase, double Seconds)> Read()
    {
        lock (_gate)
        {
            if (_current != Phase.Forward) Count(_current, SinceLast());
            return [.. _seconds.Select(one => (one.Key.Rank, one.Key.Phase, one.Value))];
        }
    }

    /// <summary>Ends the current phase and begins another.</summary>
    /// <returns>The one that was ended.</returns>
    public string Enter(string phase)
    {
        lock (_gate)
        {
            Count(_current, SinceLast());
            var ended = _current ?? phase;
            _current = phase;
            return ended;
        }
    }

    /// <summary>From now on the seat's time is this rank's.</summary>
    public void Become(int rank)
    {
        lock (_gate)
        {
            Count(_current, SinceLast());
            _rank = rank;
            foreach (var phase in Phase.All) _seconds.TryAdd((rank, phase.Name), 0); // the rate of a counter that is new is not known
        }
    }

    /// <summary>Counts the time since the last call as several phases, when only the callee knew what went to which.</summary>
    /// <param name="rest">Of what they leave.</param>
    public void Split(IEnumerable<(string Phase, double Seconds)> parts, string rest)
    {
        lock (_gate)
        {
            var left = SinceLast();
            foreach (var (phase, seconds) in parts)
            {
                Count(phase, Math.Min(seconds, left));
                left -= Math.Min(seconds, left);
            }
            Count(rest, left);
        }
    }

    /// <summary>The seat has ended.</summary>
    public void Stop()
    {
        lock (_gate)
        {
            Count(_current, SinceLast());
            _current = null;
        }
    }

    private double SinceLast()
    {
        var now = Stopwatch.GetTimestamp();
        var elapsed = Stopwatch.GetElapsedTime(_since, now).TotalSeconds;
        _since = now;
        return elapsed;
    }

    private void Count(string? phase, double seconds)
    {
        if (phase is not null) _seconds[(_rank, phase)] = _seconds.GetValueOrDefault((_rank, phase)) + seconds;
    }
}
