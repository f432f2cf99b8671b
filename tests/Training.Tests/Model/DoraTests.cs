using Phi3VCluster.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>Weight-decomposed adapters beside PEFT's formula, W′ = m ∘ (W + s·BA) / ‖W + s·BA‖ by row, with the norm a constant.</summary>
public sealed class DoraTests
{
    private const double Scale = 0.5, Dropped = 0.4;
    private const ulong Salt = 3;

    private static readonly DropoutRows Rows = new([3, 4], [1, 2]);

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Values_and_gradients_are_those_of_the_formula(bool hasBias, bool addsResidual)
    {
        using var scope = NewDisposeScope();
        var (ours, plain) = (new Parts(hasBias), new Parts(hasBias));
        var map = ours.Map(dropout: 0);

        var y = addsResidual ? map.ForwardAdd(ours.X, ours.Residual) : map.Forward(ours.X);
        var rescaled = plain.Rescaled(plain.W + Scale * plain.B.mm(plain.A));
        var expected = plain.X.mm(rescaled.t()) + plain.Bias;

        Compare(ours, y, plain, addsResidual ? expected + plain.Residual : expected);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Only_the_update_s_input_is_dropped(bool hasBias)
    {
        using var scope = NewDisposeScope();
        var (ours, plain) = (new Parts(hasBias), new Parts(hasBias));

        var y = ours.Map(Dropped).Forward(ours.X, Rows);
        var x = Dropout.Apply(plain.X, Dropped, Rows, Salt);
        var ratio = plain.M / (plain.W + Scale * plain.B.mm(plain.A)).detach().norm(1);
        var expected = plain.X.mm(plain.W.t()) + plain.Bias + (ratio - 1) * x.mm(plain.W.t())
            + ratio * x.mm(plain.A.t()).mm(plain.B.t()) * Scale;

        Compare(ours, y, plain, expected);
    }

    [Fact]
    public void A_fresh_adapter_leaves_the_model_as_it_is_to_the_bit()
    {
        using var scope = NewDisposeScope();
        var weights = TinyModel.Weights();
        foreach (var module in TinyAdapters.Everywhere)
        {
            var shape = weights[module + ".weight"].shape;
            var (a, b) = (TinyModel.Random("A", 3, shape[1]), zeros(shape[0], 3));
            weights.Attach(module, new(a, b, Scale) { Magnitude = weights.RowNorms(module) });
        }
        using var adapted = new Phi3VModel(TinyModel.Config, weights);
        using var plain = new Phi3VModel(TinyModel.Config, TinyModel.Weights());

        foreach (var input in (ModelInput[])[TinyModel.TwoImages(), TinyModel.Text(9)])
            Assert.Equal(plain.Loss(input), adapted.Loss(input), 1e-6);
    }

    private static void Compare(Parts ours, Tensor y, Parts plain, Tensor expected)
    {
        var differences = new Differences();
        differences.Absolute("output", y, expected, 1e-5);
        autograd.backward([y], [TinyModel.Random("gradient", y.shape)]);
        autograd.backward([expected], [TinyModel.Random("gradient", y.shape)]);
        foreach (var (name, mine, other) in ours.Trained.Zip(plain.Trained, (mine, other) => (mine.Name, mine.Leaf, other.Leaf)))
            differences.RelativeNorm(name, mine.grad!, other.grad!, 1e-5, floor: 1e-3);
        differences.Report("DoRA");
    }

    private sealed class Parts
    {
        private readonly bool _hasBias;

        public Parts(bool hasBias)
        {
            _hasBias = hasBias;
            foreach (var (_, leaf) in Trained) leaf.requires_grad_();
        }

        public Tensor X { get; } = TinyModel.Random("x", 7, 6);
        public Tensor Residual { get; } = TinyModel.Random("residual", 7, 5);
        public Tensor W { get; } = TinyModel.Random("W", 5, 6);
        public Tensor A { get; } = TinyModel.Random("A", 2, 6);
        public Tensor B { get; } = TinyModel.Random("B", 5, 2);
        public Tensor M { get; } = TinyModel.Random("m", 5).abs() + 0.5;
        public Tensor Bias => _hasBias ? TinyModel.Random("bias", 5) : zeros(5);

        public IEnumerable<(string Name, Tensor Leaf)> Trained => [("x", X), ("A", A), ("B", B), ("m", M)];

        public Linear Map(double dropout) => new(
            new DenseMatrix(W), _hasBias ? Bias : null, new LowRank(A, B, Scale) { Magnitude = M, Dropout = dropout }, Salt);

        public Tensor Rescaled(Tensor w) => (M / w.detach().norm(1)).unsqueeze(1) * w;
    }
}
