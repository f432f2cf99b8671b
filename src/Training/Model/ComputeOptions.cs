using Phi3VCluster.Training.Native.Kernels;

namespace Phi3VCluster.Training.Model;

/// <summary>What backward computes again instead of keeping it from forward, layer by layer.</summary>
public enum ActivationCheckpointing
{
    /// <summary>Nothing: the least work, the most memory.</summary>
    None,
    /// <summary>
    /// The MLP halves of layers, which hold most of the memory; attention, whose work grows with the square of the length, is kept.
    /// </summary>
    Selective,
    /// <summary>Whole layers: a layer's input is all that stays.</summary>
    Full,
}

/// <summary>How attention is computed.</summary>
public enum AttentionKernel
{
    /// <summary>One kernel that never writes the scores out.</summary>
    Fused,
    /// <summary>Scores, softmax in float32, product: works everywhere.</summary>
    Eager,
}

/// <summary>How a model computes; none of it changes what it computes, but for rounding.</summary>
public sealed record ComputeOptions
{
    public ActivationCheckpointing Checkpointing { get; init; } = ActivationCheckpointing.None;
    public AttentionKernel Attention { get; init; } = AttentionKernel.Fused;

    /// <summary>Products of the decoder's layers with 8-bit numbers (<see cref="Fp8Matrix"/>), all but the last layer's.</summary>
    public bool Fp8 { get; init; }

    /// <summary>
    /// Layers with a backward written by hand over these kernels; null lets the device choose: the CUDA kernels where they can be had for
    /// the model's type and widths, else autograd.
    /// </summary>
    internal ILayerKernels? Kernels { get; init; }
}
