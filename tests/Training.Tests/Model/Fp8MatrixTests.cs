using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>Products of 8-bit numbers: how near they come, and which values they are made of.</summary>
public sealed class Fp8MatrixTests : IDisposable
{
    private const int Inputs = 64, Outputs = 48, Rows = 20;

    /// <summary>Each factor is off by at most 1/16, and the errors of a sum's terms are as often up as down.</summary>
    private const double Rounding = 0.05;

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly Generator _random = new(5);

    [Fact]
    public void The_map_and_its_way_back_are_near_the_exact_ones()
    {
        var (w, x, dy, bias, residual) = (
            Random(Outputs, Inputs), Random(Rows, Inputs), Random(Rows, Outputs), Random(Outputs), Random(Rows, Outputs));
        using var matrix = new Fp8Matrix(new DenseMatrix(w), new PlainKernels());
        matrix.Begin(this);

        AssertNear(x.mm(w.t()), matrix.Map(x, null));
        AssertNear(x.mm(w.t()).add(bias), matrix.Map(x, bias));
        AssertNear(x.mm(w.t()).add(residual), matrix.MapOnto(x, residual));
        AssertNear(dy.mm(w), matrix.MapBack(dy, onto: null));
        AssertNear(dy.mm(w).add(x), matrix.MapBack(dy, onto: x.clone()));
    }

    [Fact]
    public void A_row_of_small_numbers_is_as_near_as_one_of_large_ones()
    {
        var (w, x) = (Random(Outputs, Inputs), Random(Rows, Inputs));
        x[0].mul_(tensor(1e6f));
        x[1].mul_(tensor(1e-6f));
        using var matrix = new Fp8Matrix(new DenseMatrix(w), new PlainKernels());
        matrix.Begin(this);

        var (expected, found) = (x.mm(w.t()), matrix.Map(x, null));

        AssertNear(expected[0], found[0]);
        AssertNear(expected[1], found[1]);
        AssertNear(expected[2], found[2]);
    }

    [Fact]
    public void Values_that_are_trained_are_read_anew_when_they_may_have_changed()
    {
        var (w, x) = (Random(Outputs, Inputs), Random(Rows, Inputs));
        var before = x.mm(w.t());
        w.requires_grad_();
        using var matrix = new Fp8Matrix(new DenseMatrix(w), new PlainKernels());
        var (first, second) = (new object(), new object());
        matrix.Begin(first);
        using (no_grad()) w.mul_(tensor(3f));

        matrix.Begin(first);
        AssertNear(before, matrix.Map(x, null));
        matrix.Begin(second);
        AssertNear(before.mul(tensor(3f)), matrix.Map(x, null));
    }

    public void Dispose()
    {
        _scope.Dispose();
        _random.Dispose();
    }

    private Tensor Random(params long[] shape) => randn(shape, generator: _random);

    private static void AssertNear(Tensor expected, Tensor found) =>
        Assert.InRange(found.sub(expected).norm().item<float>() / expected.norm().item<float>(), 1e-4, Rounding);
}
