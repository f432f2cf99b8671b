using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// libtorch's switch for the flash kernel is one for the whole process, and only bf16 may use the kernel: elsewhere it overflows, or is
/// not there. So it is off while any rank of this process computes in another type.
/// </summary>
internal static class FlashSwitch
{
    private static readonly Lock Gate = new();
    private static int _without;

    /// <summary>For the time of a rank on a CUDA device.</summary>
    /// <returns>To be disposed when the rank has ended.</returns>
    public static IDisposable For(string precision)
    {
        if (precision == "bf16") return Change(0);
        Change(1);
        return new Ended(() => Change(-1));
    }

    private static Ended Change(int by)
    {
        lock (Gate) backends.cuda.enable_flash_sdp((_without += by) == 0);
        return new Ended(() => { });
    }

    private sealed class Ended(Action then) : IDisposable
    {
        public void Dispose() => then();
    }
}
