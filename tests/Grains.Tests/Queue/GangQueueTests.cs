using Phi3VCluster.Grains.Queue;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Tests.Queue;

public sealed class GangQueueTests
{
    [Fact]
    public void A_gang_is_leased_whole_up_to_the_most_it_takes()
    {
        var lease = GangQueue.Empty.Enqueue(Demand("a", 2, 3)).LeaseNext([Node("n1", 2), Node("n2", 2)]).Lease!;

        Assert.Equal([(0, "n1"), (1, "n1"), (2, "n2")], lease.Seats.Select(p => (p.Seat, p.Node)));
        Assert.Equal("cpu", lease.Device);
    }

    [Fact]
    public void Below_its_least_a_gang_gets_nothing() => Assert.Null(LeasePlanner.Plan(Demand("a", 5, 8), [Node("n1", 2), Node("n2", 2)]));

    [Fact]
    public void The_emptiest_node_is_filled_first()
    {
        var lease = LeasePlanner.Plan(Demand("a", 2, 2), [Node("n1", 4, free: 1), Node("n2", 2)])!.Value;

        Assert.All(lease.Places, p => Assert.Equal("n2", p.Node));
    }

    [Fact]
    public void Auto_prefers_gpus_and_never_mixes_kinds()
    {
        NodeCapacity[] nodes = [Node("c1", 8), Node("g1", 2, device: "cuda NVIDIA H100")];

        Assert.Equal(["g1", "g1"], LeasePlanner.Plan(Demand("a", 1, 8), nodes)!.Value.Places.Select(p => p.Node));
        var many = LeasePlanner.Plan(Demand("b", 3, 8), nodes)!.Value;
        Assert.Equal("cpu", many.Device);
    }

    [Fact]
    public void A_run_that_asks_for_gpus_waits_for_gpus()
    {
        var queue = GangQueue.Empty.Enqueue(Demand("a", 4, 4, "cuda"));
        NodeCapacity[] nodes = [Node("c1", 8), Node("g1", 2, device: "cuda NVIDIA H100")];

        Assert.Null(queue.LeaseNext(nodes).Lease);
        Assert.Equal("4 cuda ranks; the cluster has 2, 2 of them free", queue.WaitingFor(queue.Waiting[0], nodes));
    }

    [Fact]
    public void The_first_in_the_queue_is_served_first_and_nobody_overtakes()
    {
        var queue = GangQueue.Empty.Enqueue(Demand("large", 4, 4)).Enqueue(Demand("small", 1, 1));
        NodeCapacity[] nodes = [Node("n1", 2)];

        Assert.Null(queue.LeaseNext(nodes).Lease);
        Assert.Equal("4 ranks; the cluster has 2, 2 of them free", queue.WaitingFor(queue.Waiting[0], nodes));
        Assert.Equal("the run ahead of it in the queue", queue.WaitingFor(queue.Waiting[1], nodes));
        var (after, lease) = queue.Release("large").LeaseNext(nodes);
        Assert.Equal("small", lease!.Demand.Run);
        Assert.Empty(after.Waiting);
    }

    [Fact]
    public void A_run_is_queued_once_and_released_whether_it_waits_or_runs()
    {
        var queue = GangQueue.Empty.Enqueue(Demand("a", 1, 1)).Enqueue(Demand("a", 1, 1)).Enqueue(Demand("b", 1, 1));
        Assert.Equal(2, queue.Waiting.Count);

        (queue, _) = queue.LeaseNext([Node("n1", 1)]);
        Assert.Equal([("a", 1)], queue.Leases.On("silo-n1").Select(l => (l.Run, l.Seats.Count)));
        queue = queue.Release("a").Release("b").Release("b");

        Assert.False(queue.Knows("a") || queue.Knows("b"));
        Assert.Empty(queue.Leases.On("silo-n1"));
    }

    [Fact]
    public void A_run_gives_seats_up_and_gets_others_under_new_numbers()
    {
        NodeCapacity[] nodes = [Node("n1", 2), Node("n2", 2, free: 1)];
        var (queue, _) = GangQueue.Empty.Enqueue(Demand("a", 1, 2)).LeaseNext([Node("n1", 2)]);

        queue = queue.GiveUp("a", [0]);
        Assert.Same(queue, queue.Grow("a", Needs(1) with { NextSeat = 1 }, nodes)); // an answer from before it was given its seats
        queue = queue.Grow("a", Needs(1, refusing: "silo-n1"), nodes);

        Assert.Equal([(1, "n1"), (2, "n2")], queue.Leases.Runs["a"].Seats.Select(p => (p.Seat, p.Node)));
        Assert.Same(queue, queue.Grow("a", Needs(0) with { NextSeat = 3 }, nodes));
        Assert.Same(queue, queue.Grow("a", Needs(1, refusing: ["silo-n1", "silo-n2"]) with { NextSeat = 3 }, nodes));
    }

    [Fact]
    public void What_is_free_is_kept_for_those_that_wait_unless_a_run_is_short_or_nobody_could_ever_carry_them()
    {
        NodeCapacity[] nodes = [Node("n1", 4, free: 2)];
        var (queue, _) = GangQueue.Empty.Enqueue(Demand("a", 1, 4)).LeaseNext([Node("n1", 2)]);
        var patient = queue.Enqueue(Demand("b", 3, 3));
        var hopeless = queue.Enqueue(Demand("c", 5, 5));

        Assert.Same(patient, patient.Grow("a", Needs(2), nodes));
        Assert.Equal(4, patient.Grow("a", Needs(2) with { IsShort = true }, nodes).Leases.Runs["a"].Seats.Count);
        Assert.Equal(4, hopeless.Grow("a", Needs(2), nodes).Leases.Runs["a"].Seats.Count);
    }

    [Fact]
    public void A_short_run_is_owed_what_would_make_it_whole_and_no_more()
    {
        var leased = GangQueue.Empty.Enqueue(Demand("a", 2, 4)).LeaseNext([Node("n1", 2)]).Lease!;

        Assert.False(GangQueue.IsOwed(leased, live: 2, [], [Node("n2", 2)]));
        Assert.True(GangQueue.IsOwed(leased, live: 1, [], [Node("n2", 1)]));
        Assert.False(GangQueue.IsOwed(leased, live: 0, [], [Node("n2", 1)]));
        Assert.False(GangQueue.IsOwed(leased, live: 1, ["silo-n2"], [Node("n2", 1)]));
    }

    [Fact]
    public void A_run_that_this_cluster_cannot_fill_leaves_its_seats_to_one_that_waits_and_is_the_next_when_it_can_be()
    {
        var (queue, _) = GangQueue.Empty.Enqueue(Demand("large", 3, 3)).LeaseNext([Node("n1", 2), Node("n2", 1)]);
        queue = queue.GiveUp("large", [2]).Enqueue(Demand("small", 1, 1)).Enqueue(Demand("other", 1, 1));
        NodeCapacity[] nodes = [Node("n1", 2, free: 0)];

        Assert.Equal("large", queue.WhoYields(["large"], nodes));
        queue = queue.Yield("large");
        Assert.Equal(["large", "small", "other"], queue.Waiting.Select(d => d.Run));
        (queue, var lease) = queue.LeaseNext([Node("n1", 2, free: 1)]); // the other place is not empty yet
        Assert.Equal("small", lease!.Demand.Run);
        Assert.Null(queue.LeaseNext([Node("n1", 2, free: 1), Node("n2", 1)]).Lease); // it could be filled: nobody overtakes it
        var again = queue.LeaseNext([Node("n1", 2), Node("n2", 1)]).Lease!;
        Assert.Equal(("large", 3), (again.Demand.Run, again.Seats[0].Seat));
    }

    [Fact]
    public void Nobody_yields_where_nobody_gains_by_it()
    {
        var (queue, _) = GangQueue.Empty.Enqueue(Demand("large", 3, 3)).LeaseNext([Node("n1", 2), Node("n2", 1)]);
        queue = queue.GiveUp("large", [2]);
        NodeCapacity[] nodes = [Node("n1", 2, free: 0)];

        Assert.Null(queue.WhoYields(["large"], nodes)); // nobody waits
        Assert.Null(queue.Enqueue(Demand("larger", 4, 4)).WhoYields(["large"], nodes)); // it would not be enough
        var waited = queue.Enqueue(Demand("small", 1, 1));
        Assert.Null(waited.WhoYields([], nodes)); // it is not short, or not yet for long
        Assert.Null(waited.WhoYields(["large"], [.. nodes, Node("n2", 1)])); // it is about to be filled
        Assert.Null(waited.WhoYields(["large"], [.. nodes, Node("n2", 1, free: 0)])); // it will be, when another run ends
    }

    [Fact]
    public void Of_two_short_runs_the_younger_yields()
    {
        var queue = GangQueue.Empty.Enqueue(Demand("old", 2, 2))
            .Enqueue(Demand("young", 2, 2) with { SubmittedAt = DateTimeOffset.MaxValue });
        for (var i = 0; i < 2; i++) queue = queue.LeaseNext([Node("n1", 2)]).Queue;
        queue = queue.GiveUp("old", [1]).GiveUp("young", [1]);

        Assert.Equal("young", queue.WhoYields(["old", "young"], [Node("n1", 2, free: 0)]));
        Assert.Null(queue.WhoYields(["old"], [Node("n1", 2, free: 0)])); // the younger goes on
    }

    [Fact]
    public void A_resumed_run_numbers_its_seats_on()
    {
        var queue = GangQueue.Empty.Enqueue(new RankDemand("a", 1, 1, "auto", Life: 1, FirstSeat: 7));

        Assert.Equal(7, Assert.Single(queue.LeaseNext([Node("n1", 1)]).Lease!.Seats).Seat);
    }

    [Fact]
    public void The_queue_survives_its_storage()
    {
        var queue = GangQueue.Empty.Enqueue(Demand("a", 1, 2)).Enqueue(Demand("b", 1, 1));
        var stored = new StoredCluster { Queue = queue.LeaseNext([Node("n1", 2)]).Queue };
        stored.End(new() { Run = "c", State = Interfaces.RunState.Failed, Error = "x" });
        var serializer = new JsonStateSerializer();

        var read = serializer.Deserialize<StoredCluster>(serializer.Serialize(stored))!;

        Assert.Equal(stored.Queue.Waiting, read.Queue.Waiting);
        Assert.Equal(stored.Queue.Leases.Runs["a"].Seats, read.Queue.Leases.Runs["a"].Seats);
        Assert.Equal(Interfaces.RunState.Failed, Assert.Single(read.Ended).State);
    }

    [Fact]
    public void A_run_id_tells_the_name_and_the_time() =>
        Assert.Matches("^vqa-20260102-030405-[0-9a-f]{4}$", RunIds.New("vqa", new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero)));

    private static Interfaces.RunNeeds Needs(int wants, params string[] refusing) =>
        new(null, [], wants, IsShort: false, refusing, NextSeat: 2);

    private static RankDemand Demand(string run, int min, int max, string device = "auto") => new(run, min, max, device);

    private static NodeCapacity Node(string name, int ranks, int? free = null, string device = "cpu") =>
        new(name, $"silo-{name}", device, ranks, free ?? ranks);
}
