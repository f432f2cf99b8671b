using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Tests.Native;

public sealed class CpuBf16Tests
{
    private const double ClearlySlower = 0.8, ClearlyFaster = 1.8; // far from the limit, so that a busy machine cannot decide

    [Fact]
    public void Bf16_counts_as_fast_by_what_a_product_takes_and_not_by_the_instructions_there_are()
    {
        LibTorch.Load();
        var gain = CpuBf16.Gain();
        Assert.SkipWhen(gain is > ClearlySlower and < ClearlyFaster, $"bf16 takes 1/{gain:F2} of float32's time here, which is neither.");

        Assert.Equal(gain >= ClearlyFaster, CpuBf16.IsFast);
    }
}
