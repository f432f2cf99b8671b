using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Native;

public sealed class AtenTests
{
    [Fact]
    public void Rms_norm_through_the_dispatcher_equals_its_formula()
    {
        LibTorch.Load();
        using var scope = NewDisposeScope();
        var x = randn(3, 8, requires_grad: true);
        var weight = randn(8);

        var y = AtenOps.RmsNorm(x, weight, 1e-5);

        var expected = x * rsqrt((x * x).mean([-1], keepdim: true) + 1e-5) * weight;
        Assert.True((y - expected).abs().max().item<float>() < 1e-6);
        y.sum().backward();
        Assert.Equal(x.shape, x.grad!.shape);
    }

    [Fact]
    public void A_refused_call_names_the_operator_and_what_it_was_given()
    {
        LibTorch.Load();
        using var scope = NewDisposeScope();
        var error = Assert.Throws<AtenException>(() => AtenOps.RmsNorm(randn(3, 8), randn(7), 1e-5));
        Assert.Contains("aten::rms_norm", error.Message);
        Assert.Contains("Float32[3×8]", error.Message);
    }

    [Fact]
    public void A_view_of_foreign_memory_reads_that_memory()
    {
        var numbers = new float[] { 1, 2, 3, 4, 5, 6 };
        unsafe
        {
            fixed (float* data = numbers)
            {
                using var view = TensorMemory.View((nint)data, [2, 3], ScalarType.Float32);
                Assert.Equal(6f, view[1, 2].item<float>());
                Assert.Equal((nint)data, TensorMemory.Pointer(view));
            }
        }
    }
}
