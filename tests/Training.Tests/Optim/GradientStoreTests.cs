using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Optim;

public sealed class GradientStoreTests
{
    private static readonly FlatEntry[] Entries =
    [
        new(new("first.weight", [2, 3]), true) { Unit = "first" }, new(new("first.bias", [2]), false) { Unit = "first" },
        new(new("last.weight", [5, 1]), true) { Unit = "last" },
    ];

    private static readonly float[] Ramp = [.. Enumerable.Range(1, 13).Select(i => (float)i)];

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void Backward_adds_in_float32_where_the_tensor_lies(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using var rank = new OptimizerRank(Entries, 0, 1, new(), type: type);
        var bias = rank.Parameters["first.bias"];

        for (var pass = 0; pass < 2; pass++) bias.mul(tensor(new[] { 3f, 0.0078125f }).to_type(type)).sum().backward();

        Assert.Equal(ScalarType.Float32, bias.grad!.dtype);
        Assert.Equal([0, 0, 0, 0, 0, 0, 6, 0.015625f, 0, 0, 0, 0, 0], Sums(rank));
    }

    [Fact]
    public void Zeroed_gradients_stay_where_they_are_and_are_added_to_again()
    {
        using var scope = NewDisposeScope();
        using var rank = new OptimizerRank(Entries, 0, 1, new());
        rank.Parameters["last.weight"].sum().backward();
        var address = TensorMemory.Pointer(rank.Parameters["last.weight"].grad!);

        rank.Gradients.Zero();
        rank.Parameters["last.weight"].sum().backward();

        Assert.Equal(address, TensorMemory.Pointer(rank.Parameters["last.weight"].grad!));
        Assert.Equal(5, Sums(rank).Sum());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Scattered_as_they_come_the_sums_of_several_passes_are_those_of_the_whole(int worldSize)
    {
        using var scope = NewDisposeScope();
        for (var rank = 0; rank < worldSize; rank++)
        {
            using var scattered = new OptimizerRank(Entries, rank, worldSize, new(), scattered: true);
            for (var pass = 0; pass < 3; pass++) scattered.Pass(Ramp);
            scattered.Gradients.PassDone(); // one that this rank had no sample for
            scattered.Gradients.StepDone();

            Assert.Equal(scattered.OwnOf(tensor(Ramp) * 3), Sums(scattered));
        }
    }

    [Fact]
    public void A_pass_that_ends_above_the_first_unit_still_reduces_all_of_them()
    {
        using var parameters = new FlatParameters(Entries, CPU);
        var reduced = new List<long>();
        using var gradients = new ScatteredGradients(parameters, new([.. parameters.Units().Select(unit => unit.Range)], 0, 1), Begin);
        IPendingSum Begin(Tensor part, HalfSum? half)
        {
            reduced.Add(part.numel());
            return DoneSum.Instance;
        }

        gradients.UnitDone("frozen");
        gradients.UnitDone("last");
        gradients.PassDone();
        gradients.PassDone();

        Assert.Equal([5, 8, 5, 8], reduced);
        Assert.Throws<InvalidOperationException>(() => gradients.UnitDone("first"));
    }

    [Fact]
    public void Whole_gradients_set_out_as_the_last_pass_has_done_with_them()
    {
        using var parameters = new FlatParameters(Entries, CPU);
        var (begun, waited, start) = (new List<(long Offset, long Count)>(), 0, nint.Zero);
        using var gradients = WholeGradients.Replicated(parameters, 0, 2, Begin, leastBucket: 1);
        start = TensorMemory.Pointer(gradients.Own(gradients.Layout.Pieces[0], new(0, 1)));

        gradients.UnitDone("last");
        gradients.PassDone();
        Assert.Empty(begun); // more is to come
        gradients.LastPass();
        gradients.UnitDone("frozen");
        gradients.UnitDone("last");
        Assert.Equal([(8, 5)], begun);
        gradients.StepDone(); // the pass did not touch the first
        Assert.Equal([(8, 5), (0, 8)], begun);
        Assert.Equal(2, waited);
        gradients.UnitDone("last"); // of the next step's first pass
        gradients.StepDone();

        Assert.Equal([(8, 5), (0, 8), (8, 5), (0, 8)], begun);

        IPendingSum Begin(Tensor part, HalfSum? half)
        {
            begun.Add(((TensorMemory.Pointer(part) - start) / sizeof(float), part.numel()));
            return new Waited(() => waited++);
        }
    }

    [Fact]
    public void Buckets_are_cut_between_units_from_the_end()
    {
        int[] counts = [3, 1, 4, 1, 5];
        FlatEntry[] entries = [.. counts.Select((count, i) => new FlatEntry(new($"{i}", [count]), true) { Unit = $"{i}" })];
        using var parameters = new FlatParameters(entries, CPU);

        Assert.Equal([new(0, 3), new(3, 1), new(4, 4), new(8, 1), new(9, 5)], parameters.Buckets(1));
        Assert.Equal([new(0, 4), new(4, 5), new(9, 5)], parameters.Buckets(5));
        Assert.Equal([new(0, 3), new(3, 11)], parameters.Buckets(11));
        Assert.Equal([new(0, 14)], parameters.Buckets(100));
    }

    [Fact]
    public void Scattered_gradients_hold_the_largest_unit_twice_and_the_own_shard()
    {
        using var whole = new OptimizerRank(Entries, 1, 2, new());
        using var scattered = new OptimizerRank(Entries, 1, 2, new(), scattered: true);

        Assert.Equal(13 * 4, whole.Gradients.SizeBytes);
        Assert.Equal((8 + 8 + 4 + 2) * 4, scattered.Gradients.SizeBytes);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Time_spent_waiting_for_sums_is_told(bool scattered)
    {
        using var parameters = new FlatParameters(Entries, CPU);
        BeginSum begin = (_, _) => new Waited(() => Thread.Sleep(10));
        using GradientStore gradients = scattered
            ? new ScatteredGradients(parameters, new(parameters.Buckets(1), 0, 2), begin)
            : WholeGradients.Replicated(parameters, 0, 2, begin, leastBucket: 1);
        Assert.Equal(0, gradients.WaitedSeconds);

        gradients.PassDone();
        gradients.StepDone();

        Assert.True(gradients.WaitedSeconds >= 0.02, $"two waits of 10 ms came to {gradients.WaitedSeconds} s");
    }

    private sealed class Waited(Action told) : IPendingSum
    {
        public void Wait() => told();
    }

    private static float[] Sums(OptimizerRank rank) =>
        [.. rank.Gradients.Layout.Pieces.SelectMany(piece => rank.Gradients.Own(piece, piece.Flat).data<float>().ToArray())];
}
