namespace Phi3VCluster.Training.Native.Kernels;

/// <summary>Compiled kernels, ready to be launched.</summary>
internal interface IKernelModule
{
    /// <summary>Puts a kernel behind the work that is under way; returns at once.</summary>
    /// <param name="arguments">
    /// One 8-byte slot a parameter, in order: pointers, integers, or a float's bits below. Nobody checks them.
    /// </param>
    void Launch(string kernel, long blocks, int threads, params ReadOnlySpan<ulong> arguments);
}
