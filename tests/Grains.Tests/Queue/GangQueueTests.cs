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
        NodeCapacity[] nodes = [Node("n1", 4, free: 2)];

        Assert.Null(queue.LeaseNext(nodes).Lease);
        Assert.Equal("4 ranks; the cluster has 4, 2 of them free", queue.WaitingFor(queue.Waiting[0], nodes));
        Assert.Equal("the run ahead of it in the queue", queue.WaitingFor(queue.Waiting[1], nodes));
        var (after, lease) = queue.Release("large").LeaseNext(nodes);
        Assert.Equal("small", lease!.Demand.Run);
        Assert.Empty(after.Waiting);
    }

    [Fact]
    public void A_run_that_the_cluster_cannot_hold_is_passed_until_it_can()
    {
        var queue = GangQueue.Empty.Enqueue(Demand("large", 4, 4)).Enqueue(Demand("gpus", 1, 1, "cuda"))
            .Enqueue(Demand("small", 1, 1)).Enqueue(Demand("next", 1, 1));
        NodeCapacity[] nodes = [Node("n1", 2)];

        Assert.Equal("4 ranks; the cluster has 2, 2 of them free", queue.WaitingFor(queue.Waiting[0], nodes));
        Assert.Equal("1 cuda rank; the cluster has 0, 0 of them free", queue.WaitingFor(queue.Waiting[1], nodes));
        Assert.Equal("1 rank; the cluster has 2, 2 of them free", queue.WaitingFor(queue.Waiting[2], nodes));
        Assert.Equal("the run ahead of it in the queue", queue.WaitingFor(queue.Waiting[3], nodes));
        (queue, var lease) = queue.LeaseNext(nodes);
        Assert.Equal("small", lease!.Demand.Run);

        NodeCapacity[] grown = [Node("n1", 2, free: 1), Node("n2", 2)];
        Assert.Null(queue.LeaseNext(grown).Lease); // it fits now, and nobody passes it any more
        Assert.Equal("the run ahead of it in the queue", queue.WaitingFor(queue.Waiting[2], grown));
        Assert.Equal("large", queue.Release("small").LeaseNext([Node("n1", 2), Node("n2", 2)]).Lease!.Demand.Run);
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
        var (queue, leased) = GangQueue.Empty.Enqueue(Demand("a", 2, 4)).LeaseNext([Node("n1", 2)]);

        Assert.False(queue.IsOwed(leased!, live: 2, [], [Node("n2", 2)]));
        Assert.True(queue.IsOwed(leased!, live: 1, [], [Node("n2", 1)]));
        Assert.False(queue.IsOwed(leased!, live: 0, [], [Node("n2", 1)]));
        Assert.False(queue.IsOwed(leased!, live: 1, ["silo-n2"], [Node("n2", 1)]));
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
    public void A_higher_priority_goes_first_and_within_one_whoever_came_first()
    {
        var queue = GangQueue.Empty.Enqueue(Demand("a", 1, 1)).Enqueue(Demand("urgent", 1, 1) with { Priority = 5 })
            .Enqueue(Demand("b", 1, 1)).Enqueue(Demand("urgent too", 1, 1) with { Priority = 5 })
            .Enqueue(Demand("later", 1, 1) with { Priority = -1 });

        Assert.Equal(["urgent", "urgent too", "a", "b", "later"], queue.Waiting.Select(d => d.Run));
        (queue, _) = queue.Release("urgent").Release("urgent too").LeaseNext([Node("n1", 1)]);
        queue = queue.Enqueue(Demand("urgent", 1, 1) with { Priority = 5 }).Yield("a");
        Assert.Equal(["urgent", "a", "b", "later"], queue.Waiting.Select(d => d.Run)); // at the head of its own class
    }

    [Fact]
    public void Seats_above_the_least_of_lower_priorities_are_recalled_for_the_next()
    {
        NodeCapacity[] empty = [Node("n1", 4), Node("n2", 2)], full = [Node("n1", 4, free: 0), Node("n2", 2, free: 0)];
        var queue = GangQueue.Empty.Enqueue(Demand("old", 1, 3)).LeaseNext(empty).Queue;
        queue = queue.Enqueue(Demand("young", 2, 3) with { SubmittedAt = DateTimeOffset.MaxValue })
            .LeaseNext([Node("n1", 4, free: 1), Node("n2", 2)]).Queue;
        Assert.Equal((3, 3), (queue.Leases.Runs["old"].Seats.Count, queue.Leases.Runs["young"].Seats.Count));

        Assert.Empty(queue.Enqueue(Demand("equal", 1, 1)).Recalled(full));
        var high = queue.Enqueue(Demand("high", 2, 2) with { Priority = 1 });
        Assert.Equal(["old: 2", "young: 2"], Words(high.Recalled(full))); // the younger first, down to its least
        Assert.Equal("2 ranks; the cluster has 6, 0 of them free, leased to old, young; 2 of them recalled for it",
            high.WaitingFor(high.Waiting[0], full));
        Assert.Empty(queue.Enqueue(Demand("high", 4, 4) with { Priority = 1 }).Recalled(full)); // it would not be enough

        var given = high.GiveUp("young", [2]); // its thread has not ended yet, and nobody else is asked in its place
        Assert.Equal(["old: 2"], Words(given.Recalled(full)));
        Assert.Empty(given.GiveUp("old", [2]).Recalled(full));
        NodeCapacity[] left = [Node("n1", 4, free: 1), Node("n2", 2, free: 1)];
        Assert.Equal("high", given.GiveUp("old", [2]).LeaseNext(left).Lease!.Demand.Run);
        Assert.Empty(given.GiveUp("old", [2]).LeaseNext(left).Queue.Recalled(full));

        static IEnumerable<string> Words(IReadOnlyDictionary<string, System.Collections.Immutable.ImmutableSortedSet<int>> recalled) =>
            recalled.Select(run => $"{run.Key}: {string.Join(' ', run.Value)}");
    }

    [Fact]
    public void Seats_are_recalled_for_a_short_run_of_higher_priority()
    {
        NodeCapacity[] nodes = [Node("n1", 3), Node("n2", 2)];
        var queue = GangQueue.Empty.Enqueue(Demand("high", 2, 2) with { Priority = 1 }).Enqueue(Demand("low", 1, 3));
        queue = queue.LeaseNext([Node("n2", 2)]).Queue.LeaseNext([Node("n1", 3)]).Queue;
        Assert.Equal((2, 3), (queue.Leases.Runs["high"].Seats.Count, queue.Leases.Runs["low"].Seats.Count));

        Assert.Empty(queue.Recalled(nodes));
        NodeCapacity[] left = [Node("n1", 3)]; // n2 is lost
        var lost = queue.GiveUp("high", [0, 1]);
        Assert.Equal([1, 2], lost.Recalled(left)["low"]);
        Assert.Empty(queue.Enqueue(Demand("other", 3, 3)).GiveUp("low", [1, 2]).Recalled(nodes)); // n2 is there, nobody is short

        var given = lost.GiveUp("low", [1, 2]);
        Assert.Empty(given.Recalled(left)); // they are on their way
        var grown = given.Grow("high", Needs(2) with { IsShort = true }, [Node("n1", 3, free: 2)]);
        Assert.Equal(2, grown.Leases.Runs["high"].Seats.Count);
        Assert.Empty(grown.Recalled(left));
    }

    [Fact]
    public void A_short_run_of_lower_priority_does_not_take_what_a_higher_one_waits_for()
    {
        var (queue, leased) = GangQueue.Empty.Enqueue(Demand("low", 2, 2)).LeaseNext([Node("n1", 2)]);
        queue = queue.GiveUp("low", [1]).Enqueue(Demand("high", 2, 2) with { Priority = 1 });
        NodeCapacity[] nodes = [Node("n1", 2, free: 1)];

        Assert.False(queue.IsOwed(leased!, live: 1, [], nodes));
        Assert.Same(queue, queue.Grow("low", Needs(1) with { IsShort = true }, nodes));
        Assert.Equal("low", queue.WhoYields(["low"], nodes));
        Assert.Equal("high", queue.Yield("low").LeaseNext([Node("n1", 2)]).Lease!.Demand.Run);
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
    public void Of_the_runs_that_ended_the_newest_are_kept_and_the_others_forgotten()
    {
        var stored = new StoredCluster();
        for (var i = 0; i < StoredCluster.MostEndedRuns + 2; i++) stored.End(new() { Run = $"run-{i}" });

        Assert.Equal(StoredCluster.MostEndedRuns, stored.Ended.Count);
        Assert.Equal(["run-0", "run-1"], stored.Forgotten);
        stored.Enqueue(new("run-1", "{}", "/out", default, Life: 1), Demand("run-1", 1, 1)); // it goes on, by its folder
        Assert.Equal(["run-0"], stored.Forgotten);
        Assert.False(stored.Forget("run-1"));
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
