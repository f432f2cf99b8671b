using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>What a device cannot compute is said before a run starts on it.</summary>
public sealed class RankComputeTests
{
    private const string Need = "8-bit products need a GPU with 9.0 (H100, H200), got true; write false, or use another GPU.";

    private static readonly RunSpec Fp8 = new() { Precision = "bf16", Fp8 = true };

    [Fact]
    public void Eight_bit_products_need_a_card_that_has_them()
    {
        Assert.Equal([$"fp8: A100 has compute capability 8.0, and {Need}"], RankCompute.Problems(Fp8, (8, 0), "A100"));
        Assert.Empty(RankCompute.Problems(Fp8, (9, 0), "H100"));
    }

    [Fact]
    public void A_CPU_has_none()
    {
        var refused = Assert.Throws<InputException>(() => RankCompute.Of(Fp8, cudaDevice: null));

        Assert.Equal($"fp8: this rank computes on a CPU, and {Need}", refused.Message);
    }
}
