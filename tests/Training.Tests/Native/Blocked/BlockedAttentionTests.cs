using Phi3VCluster.Training.Native.Blocked;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Native.Blocked;

/// <summary>Beside the same in float32, with every score in memory, on the same inputs.</summary>
public sealed class BlockedAttentionTests
{
    private const double Tolerance = 0.01; // bf16 rounds to 0.004 of a number

    [Theory]
    [InlineData(1, 1, 1, 8, true)]
    [InlineData(2, 3, 70, 24, true)]
    [InlineData(2, 3, 70, 24, false)]
    [InlineData(1, 2, 300, 96, true)] // two blocks of queries
    [InlineData(2, 2, 577, 64, false)] // three
    [InlineData(1, 5, 2100, 8, true)] // and two of heads
    public void Output_and_gradients_are_those_of_float32(int batch, int heads, int length, int size, bool causal)
    {
        using var scope = NewDisposeScope();
        Tensor[] inputs = [.. Enumerable.Range(0, 4).Select(seed => Random(seed, batch, heads, length, size))];
        var expected = Exact(inputs, causal);

        var (q, k, v) = (Leaf(inputs[0]), Leaf(inputs[1]), Leaf(inputs[2]));
        var y = BlockedAttention.Attend(q, k, v, causal, 1 / Math.Sqrt(size));
        y.backward([inputs[3]]);

        Tensor[] actual = [y, q.grad!, k.grad!, v.grad!];
        Assert.All(actual.Zip(expected), pair => Assert.InRange(Distance(pair.First, pair.Second), 0, Tolerance));
    }

    [Fact]
    public void Without_a_graph_the_output_is_the_same()
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = (Random(0, 1, 2, 70, 24), Random(1, 1, 2, 70, 24), Random(2, 1, 2, 70, 24));
        var recorded = BlockedAttention.Attend(Leaf(q), k, v, causal: true, 0.2);
        using var _ = no_grad();
        var plain = BlockedAttention.Attend(q, k, v, causal: true, 0.2);
        Assert.False(plain.requires_grad);
        Assert.True(recorded.detach().equal(plain).all().item<bool>());
    }

    /// <summary>A run whose numbers have gone must see it.</summary>
    [Fact]
    public void What_is_no_number_stays_none()
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = (Random(0, 1, 1, 70, 24), Random(1, 1, 1, 70, 24), Random(2, 1, 1, 70, 24));
        q[0, 0, 40].fill_(double.NaN);
        var y = BlockedAttention.Attend(q, k, v, causal: true, 0.2);
        Assert.True(y[0, 0, 40].isnan().all().item<bool>());
        Assert.False(y[0, 0, 39].isnan().any().item<bool>());
    }

    private static Tensor[] Exact(Tensor[] inputs, bool causal)
    {
        var (q, k, v) = (Leaf(inputs[0].@float()), Leaf(inputs[1].@float()), Leaf(inputs[2].@float()));
        var scores = q.matmul(k.transpose(2, 3)) / Math.Sqrt(q.shape[3]);
        if (causal) scores = scores.masked_fill(ones(q.shape[2], q.shape[2], ScalarType.Bool).triu(1), double.NegativeInfinity);
        var y = scores.softmax(-1).matmul(v);
        y.backward([inputs[3].@float()]);
        return [y, q.grad!, k.grad!, v.grad!];
    }

    /// <summary>Laid out as the maps before it leave their rows: [N, L, H, S].</summary>
    private static Tensor Random(int seed, int batch, int heads, int length, int size)
    {
        using var generator = new Generator((ulong)seed);
        return randn([batch, length, heads, size], generator: generator).to(ScalarType.BFloat16).transpose(1, 2);
    }

    private static Tensor Leaf(Tensor x) => x.detach().requires_grad_(true);

    private static double Distance(Tensor actual, Tensor expected) =>
        ((actual.detach().@float() - expected.detach()).norm() / (expected.detach().norm() + 1e-6)).item<float>();
}
