using Phi3VCluster.Training.Collectives;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Collectives;

/// <summary>What every collective must do, whichever it is: the catalogue is enumerated.</summary>
public sealed class CollectiveContractTests
{
    private const int MostRanks = 4;

    /// <summary>Empty, fewer than ranks, uneven, around the small-message limit, larger than a socket's buffer.</summary>
    private static readonly long[] Sizes = [0, 1, 3, 5, 1_000, 4_096, 4_097, 70_001, 1_500_007];

    public static TheoryData<string, int> Worlds()
    {
        var worlds = new TheoryData<string, int>();
        foreach (var backend in TestBackends.All)
            for (var size = 1; size <= Math.Min(MostRanks, backend.MaxWorldSize); size++) worlds.Add(backend.Name, size);
        return worlds;
    }

    public static TheoryData<string> BetweenRanks() =>
        [.. TestBackends.All.Where(backend => backend.MaxWorldSize > 1).Select(backend => backend.Name)];

    [Theory, MemberData(nameof(Worlds))]
    public void All_reduce_of_integers_is_the_exact_sum_for_every_size(string backend, int worldSize)
    {
        using var ranks = TestBackends.Find(backend);
        var failures = Ranks.Run(ranks, worldSize, world => Sizes.Where(size =>
        {
            using var scope = NewDisposeScope();
            var buffer = Numbers(size, world.Rank);
            world.AllReduce(buffer);
            return !AreEqual(buffer, SumOfNumbers(size, worldSize));
        }).ToArray());

        Assert.All(failures, sizes => Assert.Empty(sizes));
    }

    [Theory, MemberData(nameof(Worlds))]
    public void Reduce_scatter_leaves_the_exact_sum_in_the_own_part(string backend, int worldSize)
    {
        using var ranks = TestBackends.Find(backend);
        var failures = Ranks.Run(ranks, worldSize, world => Sizes.Where(size =>
        {
            using var scope = NewDisposeScope();
            var buffer = Numbers(size, world.Rank);
            world.ReduceScatter(buffer);
            var own = ShardRange.Of(size, world.Rank, worldSize);
            return !AreEqual(buffer.narrow(0, own.Offset, own.Count), SumOfNumbers(size, worldSize).narrow(0, own.Offset, own.Count));
        }).ToArray());

        Assert.All(failures, sizes => Assert.Empty(sizes));
    }

    [Theory, MemberData(nameof(Worlds))]
    public void All_gather_of_any_type_brings_every_rank_every_part(string backend, int worldSize)
    {
        using var ranks = TestBackends.Find(backend);
        ScalarType[] types = [ScalarType.Byte, ScalarType.Float32, ScalarType.Int64];
        var cases = types.SelectMany(type => Sizes.Select(size => (type, size))).ToArray();
        var failures = Ranks.Run(ranks, worldSize, world => cases.Where(given =>
        {
            using var scope = NewDisposeScope();
            var whole = arange(given.size).remainder(251).to(given.type);
            var buffer = zeros(given.size, given.type);
            var own = ShardRange.Of(given.size, world.Rank, worldSize);
            buffer.narrow(0, own.Offset, own.Count).copy_(whole.narrow(0, own.Offset, own.Count));
            world.AllGather(buffer);
            return !AreEqual(buffer, whole);
        }).ToArray());

        Assert.All(failures, given => Assert.Empty(given));
    }

    [Theory, MemberData(nameof(Worlds))]
    public void Sums_are_bit_identical_on_all_ranks_and_from_run_to_run(string backend, int worldSize)
    {
        using var ranks = TestBackends.Find(backend);
        float[][] RunOnce() => Ranks.Run(ranks, worldSize, world =>
        {
            using var scope = NewDisposeScope();
            using var generator = new Generator((ulong)world.Rank);
            var small = randn(1_001, generator: generator);
            var large = randn(100_003, generator: generator);
            world.AllReduce(small);
            world.AllReduce(large);
            return cat([small, large]).data<float>().ToArray();
        });

        var (first, second) = (RunOnce(), RunOnce());

        Assert.All(first.Concat(second), sums => Assert.Equal(first[0], sums));
    }

    [Theory, MemberData(nameof(Worlds))]
    public void A_tensor_that_cannot_be_summed_is_refused_and_the_collective_goes_on(string backend, int worldSize)
    {
        using var ranks = TestBackends.Find(backend);
        var sums = Ranks.Run(ranks, worldSize, world =>
        {
            using var scope = NewDisposeScope();
            Assert.Throws<ArgumentException>(() => world.AllReduce(zeros(4, ScalarType.Int64)));
            Assert.Throws<ArgumentException>(() => world.ReduceScatter(zeros(2, 2)));
            Assert.Throws<ArgumentException>(() => world.AllGather(zeros(4, 2)[.., 0]));
            var one = ones(1);
            world.AllReduce(one);
            return one.item<float>();
        });

        Assert.All(sums, sum => Assert.Equal(worldSize, sum));
    }

    [Theory, MemberData(nameof(Worlds))]
    public void After_an_abort_every_call_says_why(string backend, int worldSize)
    {
        using var ranks = TestBackends.Find(backend);
        var messages = Ranks.Run(ranks, worldSize, world =>
        {
            using var buffer = zeros(8);
            world.Abort("rank 7 is gone");
            world.Abort("a second reason");
            return Assert.Throws<CollectiveException>(() => world.AllReduce(buffer)).Message;
        });

        Assert.All(messages, message => Assert.Contains("rank 7 is gone", message));
    }

    private static bool AreEqual(Tensor one, Tensor other) => one.eq(other).all().item<bool>();

    private static Tensor Numbers(long size, int rank) => From(size, i => (i % 1_000) + ((rank + 1) * 1_000));

    private static Tensor SumOfNumbers(long size, int worldSize) =>
        From(size, i => Enumerable.Range(0, worldSize).Sum(rank => (i % 1_000) + ((rank + 1) * 1_000)));

    // Not by libtorch's arithmetic with numbers: TorchSharp lets the collector have a number while it is added.
    private static Tensor From(long size, Func<long, long> number)
    {
        var values = new float[size];
        for (long i = 0; i < size; i++) values[i] = number(i);
        return tensor(values);
    }
}
