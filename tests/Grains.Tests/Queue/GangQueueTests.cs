using Phi3VCluster.Grains.Queue;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Tests.Queue;

public sealed class GangQueueTests
{
    [Fact]
    public void A_gang_is_leased_whole_up_to_the_most_it_takes()
    {
        var lease = LeasePlanner.Plan(Demand("a", 2, 3), [Node("n1", 2), Node("n2", 2)])!;

        Assert.Equal([(0, "n1"), (1, "n1"), (2, "n2")], lease.Places.Select(p => (p.Rank, p.Node)));
        Assert.Equal("cpu", lease.Device);
    }

    [Fact]
    public void Below_its_least_a_gang_gets_nothing() => Assert.Null(LeasePlanner.Plan(Demand("a", 5, 8), [Node("n1", 2), Node("n2", 2)]));

    [Fact]
    public void The_emptiest_node_is_filled_first()
    {
        var lease = LeasePlanner.Plan(Demand("a", 2, 2), [Node("n1", 4, free: 1), Node("n2", 2)])!;

        Assert.All(lease.Places, p => Assert.Equal("n2", p.Node));
    }

    [Fact]
    public void Auto_prefers_gpus_and_never_mixes_kinds()
    {
        NodeCapacity[] nodes = [Node("c1", 8), Node("g1", 2, device: "cuda NVIDIA H100")];

        Assert.Equal(["g1", "g1"], LeasePlanner.Plan(Demand("a", 1, 8), nodes)!.Places.Select(p => p.Node));
        var many = LeasePlanner.Plan(Demand("b", 3, 8), nodes)!;
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
        Assert.Equal("small", lease!.Run);
        Assert.Empty(after.Waiting);
    }

    [Fact]
    public void A_run_is_queued_once_and_released_whether_it_waits_or_runs()
    {
        var queue = GangQueue.Empty.Enqueue(Demand("a", 1, 1)).Enqueue(Demand("a", 1, 1)).Enqueue(Demand("b", 1, 1));
        Assert.Equal(2, queue.Waiting.Count);

        (queue, _) = queue.LeaseNext([Node("n1", 1)]);
        Assert.Equal([("a", 1)], queue.LeasesOn("n1").Select(l => (l.Run, l.Ranks.Count)));
        queue = queue.Release("a").Release("b").Release("b");

        Assert.False(queue.Knows("a") || queue.Knows("b"));
        Assert.Empty(queue.LeasesOn("n1"));
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
        Assert.Equal(stored.Queue.Leases["a"].Places, read.Queue.Leases["a"].Places);
        Assert.Equal(Interfaces.RunState.Failed, Assert.Single(read.Ended).State);
    }

    [Fact]
    public void A_run_id_tells_the_name_and_the_time() =>
        Assert.Matches("^vqa-20260102-030405-[0-9a-f]{4}$", RunIds.New("vqa", new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero)));

    private static RankDemand Demand(string run, int min, int max, string device = "auto") => new(run, min, max, device);

    private static NodeCapacity Node(string name, int ranks, int? free = null, string device = "cpu") =>
        new(name, $"silo-{name}", device, ranks, free ?? ranks);
}
