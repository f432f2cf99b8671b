using Phi3VCluster.Client.Supervision;

namespace Phi3VCluster.Client.Tests;

public sealed class RestartsTests
{
    private readonly Clock _clock = new();

    [Fact]
    public void What_dies_seldom_is_started_again_at_once_each_time()
    {
        var restarts = new Restarts(_clock);
        for (var death = 0; death < 5; death++)
        {
            Assert.Equal(TimeSpan.FromSeconds(0.5), restarts.Next());
            _clock.Pass(Restarts.Remembered + TimeSpan.FromSeconds(1));
        }
    }

    [Fact]
    public void What_dies_as_soon_as_it_is_started_is_started_a_few_times_a_minute()
    {
        var restarts = new Restarts(_clock);
        var (end, starts) = (TimeSpan.FromMinutes(10), new List<TimeSpan>());
        while (_clock.Now < end)
        {
            _clock.Pass(restarts.Next());
            starts.Add(_clock.Now);
        }

        Assert.Equal(new[] { 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 }.Select(TimeSpan.FromSeconds), starts.Take(6));
        for (var from = TimeSpan.Zero; from < end; from += TimeSpan.FromSeconds(1))
            Assert.InRange(starts.Count(start => start >= from && start < from + TimeSpan.FromMinutes(1)), 0, 6);
        Assert.InRange(starts.Count, 20, 60); // and never given up
    }

    private sealed class Clock : TimeProvider
    {
        public TimeSpan Now { get; private set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public void Pass(TimeSpan time) => Now += time;

        public override long GetTimestamp() => Now.Ticks;
    }
}
