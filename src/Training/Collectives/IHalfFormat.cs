using static TorchSharp.torch;

namespace Phi3VCluster.Training.Collectives;

/// <summary>A 16-bit floating-point format: rounding to it, to nearest and to even between two, and back.</summary>
internal unsafe interface IHalfFormat
{
    /// <exception cref="ArgumentException">The type is none of 16 bits.</exception>
    static IHalfFormat Of(ScalarType type) => type switch
    {
        ScalarType.BFloat16 => new BFloat16Format(),
        ScalarType.Float16 => new Float16Format(),
        _ => throw new ArgumentException($"sums travel as BFloat16 or Float16, got {type}", nameof(type)),
    };

    void Round(float* from, ushort* to, long count);

    void Widen(ushort* from, float* to, long count);
}
