using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// glibc keeps freed memory and lets its own thresholds grow, so a training process swells for hours. Fixed thresholds keep it flat.
/// </summary>
internal static partial class Malloc
{
    private const int TrimThreshold = -1, MmapThreshold = -3;

    public static void ReturnFreedMemory()
    {
        mallopt(MmapThreshold, 128 * 1024);
        mallopt(TrimThreshold, 128 * 1024);
    }

    [LibraryImport("libc")]
    private static partial int mallopt(int parameter, int value);
}
