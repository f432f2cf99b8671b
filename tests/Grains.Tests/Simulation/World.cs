namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>Virtual time: what is to happen, in order, with nothing left to chance but what the seed draws.</summary>
internal sealed class World(int seed) : TimeProvider
{
    private readonly PriorityQueue<Action, (long Ticks, long Order)> _events = new();
    private readonly List<string> _trace = [];
    private long _order;

    public Random Random { get; } = new(seed);

    public DateTimeOffset Now { get; private set; } = DateTimeOffset.UnixEpoch;

    public double Seconds => (Now - DateTimeOffset.UnixEpoch).TotalSeconds;

    /// <summary>Shares of messages that are lost, and that arrive twice.</summary>
    public double Lost { get; set; }

    public double Doubled { get; set; }

    /// <summary>Longest delay of a message.</summary>
    public double Slowest { get; set; } = 0.05;

    public IReadOnlyList<string> Trace => _trace;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Now.UtcTicks;

    public override DateTimeOffset GetUtcNow() => Now;

    public double Between(double least, double most) => least + (Random.NextDouble() * (most - least));

    public bool Chance(double share) => Random.NextDouble() < share;

    public void After(double seconds, Action happens) =>
        _events.Enqueue(happens, (Now.UtcTicks + TimeSpan.FromSeconds(seconds).Ticks, _order++));

    public void Every(double seconds, Func<bool> goesOn)
    {
        After(seconds * Between(0.1, 1), Again);

        void Again()
        {
            if (goesOn()) After(seconds * Between(0.95, 1.05), Again);
        }
    }

    /// <summary>Over the network: lost, doubled, late, and so out of order.</summary>
    public void Send(Action arrives)
    {
        if (Chance(Lost)) return;
        After(Between(0.001, Slowest), arrives);
        if (Chance(Doubled)) After(Between(0.001, Slowest * 20), arrives);
    }

    public void Note(FormattableString text) =>
        _trace.Add(FormattableString.Invariant($"{Seconds,9:0.000}  {FormattableString.Invariant(text)}"));

    /// <summary>Lets time pass until there is no more to come, it is over, or so many seconds are past.</summary>
    public void Run(double until, Func<bool> isOver)
    {
        while (!isOver()
            && _events.TryPeek(out _, out var due)
            && due.Ticks <= DateTimeOffset.UnixEpoch.UtcTicks + TimeSpan.FromSeconds(until).Ticks)
        {
            var happens = _events.Dequeue();
            Now = new DateTimeOffset(due.Ticks, TimeSpan.Zero);
            happens();
        }
    }
}

/// <summary>What must never happen has happened.</summary>
internal sealed class BrokenRuleException(string rule) : Exception(rule);
