using Phi3VCluster.Grains.Protocol;

namespace Phi3VCluster.Grains.Tests.Protocol;

public sealed class StallWatchTests
{
    private StallWatch _watch = StallWatch.From(DateTimeOffset.UnixEpoch).Begin(["n1", "n2"], DateTimeOffset.UnixEpoch);
    private double _now;

    [Fact]
    public void A_node_that_is_silent_while_steps_are_committed_is_not_suspected()
    {
        for (var step = 0; step < 30; step++) Pass(1, "n1", step);

        Assert.Empty(Suspects());
    }

    [Fact]
    public void A_node_that_is_silent_while_none_is_committed_is_suspected_5_seconds_after_its_report()
    {
        for (var step = 0; step < 5; step++) Pass(1, "n1", step, "n2");
        for (var second = 0; second < 5; second++) Pass(1, "n1", 4);
        Assert.Empty(Suspects());

        Pass(0.5, "n1", 4);

        Assert.Equal(["n2"], Suspects());
    }

    [Fact]
    public void Steps_that_take_long_are_waited_for()
    {
        for (var second = 0; second < 42; second++) Pass(1, "n1", second / 20, "n2"); // a step each 20 s
        for (var second = 0; second < 22; second++) Pass(1, "n1", 2);
        Assert.Empty(Suspects());

        for (var second = 0; second < 3; second++) Pass(1, "n1", 2);

        Assert.Equal(["n2"], Suspects());
    }

    [Fact]
    public void Before_the_first_step_there_is_more_patience()
    {
        for (var second = 0; second < 20; second++) Pass(1, "n1", 0);
        Assert.Empty(Suspects());

        for (var second = 0; second < 2; second++) Pass(1, "n1", 0);

        Assert.Equal(["n2"], Suspects());
    }

    [Fact]
    public void Nobody_is_suspected_where_nobody_is_heard_nor_after_a_pause_of_ones_own()
    {
        for (var step = 0; step < 5; step++) Pass(1, "n1", step, "n2");
        for (var second = 0; second < 20; second++) Pass(1, null, 0);
        Assert.Empty(Suspects());

        Pass(30, "n1", 4);

        Assert.Empty(Suspects());
    }

    private void Pass(double seconds, string? node, long step, string? other = null)
    {
        _now += seconds;
        _watch = _watch.Look(At());
        if (node is not null) _watch = _watch.Hear(node, step, At());
        if (other is not null) _watch = _watch.Hear(other, step, At());
    }

    private IReadOnlyList<string> Suspects() => _watch.Suspects(At());

    private DateTimeOffset At() => DateTimeOffset.UnixEpoch.AddSeconds(_now);
}
