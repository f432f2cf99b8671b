using System.Diagnostics;
using Phi3VCluster.Training.Collectives;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Collectives;

/// <summary>What every collective between ranks must do when something is wrong.</summary>
public sealed class CollectiveFaultTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    public static TheoryData<string> Backends() => CollectiveContractTests.BetweenRanks();

    [Theory, MemberData(nameof(Backends))]
    public void Abort_ends_a_blocked_call_within_a_second_and_peers_notice(string backend)
    {
        using var ranks = TestBackends.Find(backend);
        using var entered = new Barrier(3);
        using var ended = new CountdownEvent(2);
        var outcomes = Ranks.Try(ranks, 3, world =>
        {
            if (world.Rank == 2) // never takes part: the others block in the middle of the call
            {
                entered.SignalAndWait();
                ended.Wait();
                return TimeSpan.Zero;
            }
            using var buffer = zeros(4_000_000);
            var aborted = Stopwatch.StartNew();
            var aborter = new Thread(() =>
            {
                entered.SignalAndWait();
                aborted.Restart();
                if (world.Rank == 0) world.Abort("the coordinator said so");
            });
            aborter.Start();
            var message = Assert.Throws<CollectiveException>(() => world.AllReduce(buffer)).Message;
            var elapsed = aborted.Elapsed;
            ended.Signal();
            if (world.Rank == 0) Assert.Contains("the coordinator said so", message);
            return elapsed;
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
        Assert.All(outcomes, outcome => Assert.True(outcome.Result < Second, $"took {outcome.Result}"));
    }

    [Theory, MemberData(nameof(Backends))]
    public void A_peer_that_dies_ends_the_calls_of_all_others(string backend)
    {
        using var ranks = TestBackends.Find(backend);
        var outcomes = Ranks.Try(ranks, 4, world =>
        {
            using var buffer = zeros(1_000_000);
            world.AllReduce(buffer);
            if (world.Rank == 1) return ""; // leaves: its connections close as a dead process' do
            return Assert.Throws<CollectiveException>(() => world.AllReduce(buffer)).Message;
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
        Assert.Contains(outcomes, outcome => outcome.Result!.Contains("rank 1"));
    }

    [Theory, MemberData(nameof(Backends))]
    public void Ranks_that_disagree_about_the_size_are_told_both_sizes(string backend)
    {
        using var ranks = TestBackends.Find(backend);
        var outcomes = Ranks.Try(ranks, 2, world =>
        {
            using var buffer = zeros(world.Rank == 0 ? 1_000_000 : 2_000_000);
            return Assert.Throws<CollectiveException>(() => world.AllReduce(buffer)).Message;
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
        Assert.All(outcomes, outcome => Assert.Contains("1000000", outcome.Result));
        Assert.All(outcomes, outcome => Assert.Contains("2000000", outcome.Result));
    }

    [Theory, MemberData(nameof(Backends))]
    public void Ranks_that_disagree_about_the_operation_are_told_both(string backend)
    {
        using var ranks = TestBackends.Find(backend);
        var outcomes = Ranks.Try(ranks, 2, world =>
        {
            using var buffer = zeros(10);
            return Assert.Throws<CollectiveException>(() =>
            {
                if (world.Rank == 0) world.AllReduce(buffer);
                else world.AllGather(buffer);
            }).Message;
        });

        Assert.All(outcomes, outcome => Assert.Contains("all-reduce", outcome.Result));
        Assert.All(outcomes, outcome => Assert.Contains("all-gather", outcome.Result));
    }

    [Theory, MemberData(nameof(Backends))]
    public void Ranks_of_two_generations_refuse_each_other_and_name_both(string backend)
    {
        using var ranks = TestBackends.Find(backend);
        var endpoints = new[] { ranks.Open("127.0.0.1"), ranks.Open("127.0.0.1") };
        var addresses = endpoints.Select(endpoint => endpoint.Address).ToArray();

        var outcomes = Ranks.OnThreads(2, rank =>
            Assert.Throws<CollectiveException>(() => endpoints[rank].Connect(41 + rank, rank, addresses, CancellationToken.None)).Message);

        Assert.All(outcomes, outcome => Assert.Contains("generation 41", outcome.Result));
        Assert.All(outcomes, outcome => Assert.Contains("generation 42", outcome.Result));
    }

    [Theory, MemberData(nameof(Backends))]
    public void A_straggler_of_the_last_generation_does_not_break_this_one(string backend)
    {
        using var ranks = TestBackends.Find(backend);
        var endpoints = Enumerable.Range(0, 3).Select(_ => ranks.Open("127.0.0.1")).ToArray();
        string[] now = [endpoints[0].Address, endpoints[1].Address], before = [endpoints[0].Address, endpoints[2].Address];
        using var refused = new ManualResetEventSlim();

        var outcomes = Ranks.OnThreads(3, rank =>
        {
            if (rank == 2)
            {
                var message = Assert.Throws<CollectiveException>(() => endpoints[2].Connect(1, 1, before, CancellationToken.None)).Message;
                refused.Set();
                return message;
            }
            if (rank == 1) refused.Wait(); // the straggler comes first
            using var world = endpoints[rank].Connect(2, rank, now, CancellationToken.None);
            using var one = ones(1);
            world.AllReduce(one);
            return $"sum {one.item<float>()}";
        });

        Assert.Contains("generation 2", outcomes[2].Result);
        Assert.Contains("generation 1", outcomes[2].Result);
        Assert.Equal(["sum 2", "sum 2"], outcomes.Take(2).Select(outcome => outcome.Result));
    }

    [Theory, MemberData(nameof(Backends))]
    public void A_peer_that_never_comes_is_named_when_patience_ends(string backend)
    {
        using var ranks = TestBackends.Find(backend);
        using var absent = ranks.Open("127.0.0.1");
        var endpoint = ranks.Open("127.0.0.1");
        using var stop = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));

        var error = Assert.Throws<CollectiveException>(() => endpoint.Connect(3, 0, [endpoint.Address, absent.Address], stop.Token));

        Assert.Contains("rank 1", error.Message);
        Assert.Contains("generation 3", error.Message);
    }

    [Theory, MemberData(nameof(Backends))]
    public void A_collective_disposed_during_a_call_ends_that_call(string backend)
    {
        using var ranks = TestBackends.Find(backend);
        using var connected = new Barrier(2);
        var worlds = new ICollective[2];
        var outcomes = Ranks.Try(ranks, 2, world =>
        {
            worlds[world.Rank] = world;
            connected.SignalAndWait();
            if (world.Rank == 1)
            {
                worlds[0].Dispose();
                return "";
            }
            using var buffer = zeros(1_000_000);
            return Assert.Throws<CollectiveException>(() => world.AllReduce(buffer)).Message;
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
    }
}
