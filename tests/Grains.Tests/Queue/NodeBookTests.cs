using System.Collections.Immutable;
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
    public void Seats_that_are_leased_and_occupied_count_once_and_others_count_too()
    {
        var (queue, leased) = GangQueue.Empty.Enqueue(new RankDemand("a", 2, 2, "cpu"))
            .LeaseNext([new NodeCapacity("n1", "s1", "cpu", 4, 4)]);
        _book.Hear(Node("n1", "s1") with { Occupied = [new("a", 0), new("before", 7)] });

        Assert.Equal(1, Free(queue.Leases));

        _book.Occupy("a", leased!.Seats); // the run has ended, and the node has not said that its seats have left
        Assert.Equal(1, Free(LeaseBook.Empty));
        _book.Hear(Node("n1", "s1"));
        Assert.Equal(4, Free(LeaseBook.Empty));
    }

    [Fact]
    public void Seats_on_a_nodes_earlier_silo_take_nothing_from_its_next()
    {
        var (queue, _) = GangQueue.Empty.Enqueue(new RankDemand("a", 2, 2, "cpu")).LeaseNext([new NodeCapacity("n1", "s0", "cpu", 4, 4)]);
        _book.Hear(Node("n1", "s1"));

        Assert.Equal(4, Free(queue.Leases));
        Assert.Equal("n1 was lost: its silo was restarted", _book.LossOf(queue.Leases.Runs["a"].Seats[0]));
    }

    [Fact]
    public void A_late_heartbeat_of_a_nodes_earlier_silo_says_nothing()
    {
        _book.Hear(Node("n1", "s1") with { StartedAt = DateTimeOffset.UnixEpoch.AddSeconds(2) });

        _book.Hear(Node("n1", "s0") with { StartedAt = DateTimeOffset.UnixEpoch.AddSeconds(1) });

        Assert.Null(_book.LossOf(new(0, "n1", "s1")));
    }

    [Fact]
    public void A_node_that_is_silent_for_long_is_lost()
    {
        _book.Hear(Node("n1", "s1"));
        PassLooking(TimeSpan.FromSeconds(15));
        Assert.Null(_book.LossOf(new(0, "n1", "s1")));

        PassLooking(TimeSpan.FromSeconds(2));

        Assert.Equal("n1 was lost: it has been silent for 17 s", _book.LossOf(new(0, "n1", "s1")));
        Assert.Equal(NodeState.Lost, Assert.Single(_book.All(LeaseBook.Empty, Drained)).State);
    }

    [Fact]
    public void A_book_whose_silo_stood_still_blames_nobody_for_that_time()
    {
        _book.Hear(Node("n1", "s1"));
        PassLooking(TimeSpan.FromSeconds(5));
        _clock.Pass(TimeSpan.FromSeconds(60)); // frozen, and thawed: what the nodes sent meanwhile went elsewhere, or is still on its way

        Assert.Null(_book.LossOf(new(0, "n1", "s1")));
        Assert.Null(_book.LossOf(new(0, "n2", "s2")));
        Assert.Equal(NodeState.Draining, Assert.Single(_book.All(LeaseBook.Empty, Drained)).State);

        PassLooking(TimeSpan.FromSeconds(12));

        Assert.StartsWith("n1 was lost: it has been silent for ", _book.LossOf(new(0, "n1", "s1")));
        Assert.StartsWith("n2 was lost: it has been silent for ", _book.LossOf(new(0, "n2", "s2")));
    }

    [Fact]
    public void A_node_that_drains_or_stops_takes_no_runs()
    {
        _book.Hear(Node("n1", "s1"));
        _book.Hear(Node("n2", "s2") with { State = NodeState.Stopping });

        Assert.Equal([NodeState.Draining, NodeState.Stopping], _book.All(LeaseBook.Empty, Drained).Select(n => n.State));
        Assert.Empty(_book.Capacities(LeaseBook.Empty, Drained));
    }

    private static readonly ImmutableSortedSet<string> Drained = ["n1"];

    /// <summary>As the cluster's tick does each second.</summary>
    private void PassLooking(TimeSpan time)
    {
        for (var passed = TimeSpan.Zero; passed < time; passed += TimeSpan.FromSeconds(1))
        {
            _clock.Pass(TimeSpan.FromSeconds(1));
            _book.ForgetLongLost();
        }
    }

    private int Free(LeaseBook leases) => Assert.Single(_book.All(leases, ImmutableSortedSet<string>.Empty)).Free;

    private static NodeInfo Node(string name, string silo) => new() { Node = name, Silo = silo, ProcessId = 1, Ranks = 4, Device = "cpu" };

    private sealed class Clock : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public void Pass(TimeSpan time) => _ticks += time.Ticks;
    }
}
