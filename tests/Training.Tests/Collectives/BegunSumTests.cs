using Phi3VCluster.Training.Collectives;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Collectives;

/// <summary>Sums that are begun and waited for later, of every collective.</summary>
public sealed class BegunSumTests
{
    private static readonly long[] Sizes = [0, 3, 1_000, 4_097, 70_001, 400_003];

    public static TheoryData<string, int> Worlds() => CollectiveContractTests.Worlds();

    public static TheoryData<string> BetweenRanks() => CollectiveContractTests.BetweenRanks();

    public static TheoryData<ScalarType, int> Halves()
    {
        var halves = new TheoryData<ScalarType, int>();
        foreach (var type in (ScalarType[])[ScalarType.BFloat16, ScalarType.Float16])
            foreach (var size in (int[])[2, 3, 4]) halves.Add(type, size);
        return halves;
    }

    [Theory, MemberData(nameof(Worlds))]
    public void What_is_begun_comes_to_the_bits_of_the_call_that_blocks(string backend, int worldSize)
    {
        using var ranks = TestBackends.Find(backend);
        var failures = Ranks.Run(ranks, worldSize, world =>
        {
            using var scope = NewDisposeScope();
            var begun = Sizes.Select(size =>
            {
                var (all, scattered) = (Numbers(size, world.Rank), Numbers(size, world.Rank));
                return (size, all, scattered, sums: (IPendingSum[])[world.BeginAllReduce(all), world.BeginReduceScatter(scattered)]);
            }).ToArray();
            var between = ones(1);
            world.AllReduce(between); // comes after all of them
            foreach (var one in begun.Reverse())
                foreach (var sum in one.sums) sum.Wait();
            return begun.Where(one =>
            {
                var expected = Numbers(one.size, world.Rank);
                world.AllReduce(expected);
                var own = ShardRange.Of(one.size, world.Rank, worldSize);
                var (part, want) = (one.scattered.narrow(0, own.Offset, own.Count), expected.narrow(0, own.Offset, own.Count));
                return !one.all.eq(expected).all().item<bool>() || (part - want).abs().gt(1e-5 * worldSize).any().item<bool>();
            }).Select(one => one.size).Append(between.item<float>() == worldSize ? 0 : -1).Where(size => size != 0).ToArray();
        });

        Assert.All(failures, sizes => Assert.Empty(sizes));
    }

    [Theory, MemberData(nameof(BetweenRanks))]
    public void Who_waits_hears_why_there_will_be_no_sum(string backend)
    {
        using var ranks = TestBackends.Find(backend);
        var outcomes = Ranks.Try(ranks, 2, world =>
        {
            if (world.Rank == 1) return ""; // leaves
            using var scope = NewDisposeScope();
            var begun = Enumerable.Range(0, 3).Select(_ => Begin(world, zeros(100_000))).ToArray();
            var messages = begun.Select(sum => sum is null ? "rank 1" : Assert.Throws<CollectiveException>(sum.Wait).Message).ToArray();
            Assert.Throws<CollectiveException>(() => world.AllReduce(zeros(1)));
            return messages[0];
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
        Assert.Contains("rank 1", outcomes[0].Result);
    }

    [Theory, MemberData(nameof(BetweenRanks))]
    public void A_sum_that_nobody_waits_for_keeps_nobody(string backend)
    {
        using var ranks = TestBackends.Find(backend);
        var outcomes = Ranks.Try(ranks, 2, world =>
        {
            if (world.Rank == 0) Begin(world, zeros(1_000_000)); // its peer never begins
            return true;
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
    }

    [Theory, MemberData(nameof(Halves))]
    public void In_16_bits_all_ranks_have_the_same_sums_within_the_type_s_rounding(ScalarType type, int worldSize)
    {
        using var ranks = TestBackends.Find("tcp");
        var outcomes = Ranks.Run(ranks, worldSize, world =>
        {
            using var scope = NewDisposeScope();
            var (sums, exact) = (Numbers(70_001, world.Rank), Numbers(70_001, world.Rank));
            world.AllReduce(exact);
            world.BeginAllReduce(sums, new(type, zeros(70_001))).Wait();
            var scattered = Numbers(70_001, world.Rank);
            world.BeginReduceScatter(scattered, new(type, zeros(70_001))).Wait();
            var own = ShardRange.Of(70_001, world.Rank, worldSize);
            return (Sums: sums.data<float>().ToArray(), Off: (sums - exact).abs().max().item<float>(),
                OwnOff: (scattered - exact).narrow(0, own.Offset, own.Count).abs().max().item<float>());
        });

        // Each number is rounded once a rank that hands it on; the largest are about 5 a rank.
        var rounding = 5f * worldSize * worldSize * (type == ScalarType.BFloat16 ? 1f / 256 : 1f / 2048);
        Assert.All(outcomes, outcome => Assert.Equal(outcomes[0].Sums, outcome.Sums));
        Assert.All(outcomes, outcome => Assert.InRange(outcome.Off, 1e-5f, rounding)); // rounded at all, and no more
        Assert.All(outcomes, outcome => Assert.InRange(outcome.OwnOff, 1e-5f, rounding));
    }

    [Theory, MemberData(nameof(Halves))]
    public void What_rounding_left_out_is_in_the_next_sums(ScalarType type, int worldSize)
    {
        const int Sums = 64;
        using var ranks = TestBackends.Find("tcp");
        var off = Ranks.Run(ranks, worldSize, world =>
        {
            using var scope = NewDisposeScope();
            var (left, total, exact) = (zeros(9_001), zeros(9_001), Numbers(9_001, world.Rank));
            for (var i = 0; i < Sums; i++)
            {
                var sum = Numbers(9_001, world.Rank);
                world.BeginAllReduce(sum, new(type, left)).Wait();
                total.add_(sum);
            }
            world.AllReduce(exact);
            return ((total / Sums) - exact).abs().max().item<float>();
        });

        // One rounding a rank is left in the end, whatever the number of sums: without feedback the mean would be off as one sum is.
        var rounding = 5f * worldSize * worldSize * (type == ScalarType.BFloat16 ? 1f / 256 : 1f / 2048);
        Assert.All(off, one => Assert.InRange(one, 0, 2 * rounding / Sums));
    }

    [Theory, MemberData(nameof(Halves))]
    public void A_gradient_that_is_not_finite_is_seen_by_all_and_forgotten(ScalarType type, int worldSize)
    {
        using var ranks = TestBackends.Find("tcp");
        var outcomes = Ranks.Run(ranks, worldSize, world =>
        {
            using var scope = NewDisposeScope();
            var (left, broken, well) = (zeros(8_192), ones(8_192), ones(8_192));
            if (world.Rank == 0) broken.fill_(float.PositiveInfinity);
            world.BeginAllReduce(broken, new(type, left)).Wait();
            world.BeginAllReduce(well, new(type, left)).Wait();
            return (broken.isfinite().any().item<bool>(), well.min().item<float>(), well.max().item<float>());
        });

        Assert.All(outcomes, outcome => Assert.Equal((false, worldSize, worldSize), outcome));
    }

    [Fact]
    public void Nccl_says_that_it_carries_float32_alone()
    {
        using var ranks = TestBackends.Find("nccl");
        var outcomes = Ranks.Run(ranks, 2, world =>
        {
            using var buffer = zeros(8);
            return Assert.Throws<NotSupportedException>(() => world.BeginAllReduce(buffer, new(ScalarType.BFloat16, buffer))).Message;
        });

        Assert.All(outcomes, message => Assert.Contains("float32", message));
    }

    [Fact]
    public void A_rank_alone_rounds_nothing()
    {
        using var ranks = TestBackends.Find("loopback");
        var sums = Ranks.Run(ranks, 1, world =>
        {
            using var scope = NewDisposeScope();
            var buffer = full(9_001, 1.001f);
            world.BeginAllReduce(buffer, new(ScalarType.BFloat16, zeros(9_001))).Wait();
            return buffer.max().item<float>();
        });

        Assert.Equal(1.001f, sums[0]);
    }

    /// <returns>Null if the peer was seen to be gone already.</returns>
    private static IPendingSum? Begin(ICollective world, Tensor buffer)
    {
        try
        {
            return world.BeginAllReduce(buffer);
        }
        catch (CollectiveException)
        {
            return null;
        }
    }

    private static Tensor Numbers(long size, int rank)
    {
        using var generator = new Generator((ulong)(rank + 1));
        return randn(size, generator: generator);
    }
}
