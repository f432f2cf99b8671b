using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// Arithmetic with plain numbers for the hot path. TorchSharp turns a number into a native <see cref="Scalar"/> that nothing keeps alive
/// during the call: a garbage collection at that moment frees it in use, and without one it waits for the finalizer, a few bytes a step.
/// </summary>
public static class ScalarOps
{
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
