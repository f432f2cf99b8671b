using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Nodes;
using Phi3VCluster.Grains.Queue;

namespace Phi3VCluster.Grains.Tests.Queue;

public sealed class NodeBookTests
{
    private readonly Clock _clock = new();
    private readonly HashSet<string> _alive = ["s1", "s2"];
    private readonly NodeBook _book;

    public NodeBookTests() => _book = new(_alive.Contains, () => _alive, _clock);

    [Fact]
    public void Nobody_is_leased_ranks_before_all_nodes_were_heard()
    {
        Assert.False(_book.IsComplete);
        _book.Hear(Node("n1", "s1"));
        Assert.False(_book.IsComplete);

        _book.Hear(Node("n2", "s2"));

        Assert.True(_book.IsComplete);
    }

    [Fact]
    public void A_node_that_is_not_heard_is_not_waited_for_long()
    {
        _book.Hear(Node("n1", "s1"));
        _clock.Pass(TimeSpan.FromSeconds(5));

        Assert.True(_book.IsComplete);
    }

    [Fact]
    public void A_node_that_comes_later_is_not_waited_for()
    {
        _book.Hear(Node("n1", "s1"));
        _book.Hear(Node("n2", "s2"));
        _clock.Pass(TimeSpan.FromSeconds(60));
        _alive.Add("s3");

        Assert.True(_book.IsComplete);
    }

    [Fact]
    public void Ranks_that_are_leased_and_occupied_count_once_and_others_count_too()
    {
        var (queue, lease) = GangQueue.Empty.Enqueue(new RankDemand("a", 2, 2, "cpu"))
            .LeaseNext([new NodeCapacity("n1", "s1", "cpu", 4, 4)]);
        _book.Hear(Node("n1", "s1") with { Occupied = [new("a", 0), new("before", 7)] });

        Assert.Equal(1, Assert.Single(_book.All(queue)).Free);

        _book.Occupy(lease!); // the run has ended, and the node has not said that its ranks have left
        Assert.Equal(1, Assert.Single(_book.All(GangQueue.Empty)).Free);
        _book.Hear(Node("n1", "s1"));
        Assert.Equal(4, Assert.Single(_book.All(GangQueue.Empty)).Free);
    }

    private static NodeInfo Node(string name, string silo) => new() { Node = name, Silo = silo, ProcessId = 1, Ranks = 4, Device = "cpu" };

    private sealed class Clock : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public void Pass(TimeSpan time) => _ticks += time.Ticks;
    }
}
