using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// What TorchSharp does with plain numbers, a sum's factor of one among them. It turns each into a native <see cref="Scalar"/> that nothing
/// keeps alive during the call: a garbage collection at that moment frees it in use, and the call fails or computes with what lies there
/// now; without one it waits for the finalizer, a few bytes a step. So its own forms of these are not used where a model computes.
/// </summary>
public static class ScalarOps
{
    private static readonly Scalar One = 1, MinusInfinity = float.NegativeInfinity;

    public static Tensor Plus(this Tensor x, Tensor y) => x.add(y, One);

    /// <summary>In place.</summary>
    public static void Accumulate(this Tensor x, Tensor y) => x.add_(y, One);

    /// <summary>Adds rows to those of <paramref name="x"/> that <paramref name="index"/> names, in place.</summary>
    public static void AccumulateRows(this Tensor x, Tensor index, Tensor rows) => x.index_add_(0, index, rows, One);

    /// <summary>−∞ where <paramref name="mask"/> is true.</summary>
    public static Tensor Hide(this Tensor x, Tensor mask) => x.masked_fill(mask, MinusInfinity);

    /// <summary>0, step, 2 · step … below <paramref name="end"/>.</summary>
    public static Tensor Range(long end, long step, ScalarType type, Device? device = null)
    {
        using Scalar first = 0, last = end, by = step;
        return arange(first, last, by, type, device);
    }

    public static Tensor Times(this Tensor x, double factor)
    {
        using Scalar scalar = factor;
        return x.mul(scalar);
    }

    /// <summary>In place.</summary>
    public static void Scale(this Tensor x, double factor)
    {
        using Scalar scalar = factor;
        x.mul_(scalar); // returns x itself, which is the caller's to dispose
    }
}
