using System.Globalization;

namespace Phi3VCluster.Training.Native;

/// <summary>The process's resident memory, in bytes, as Linux counts it; mapped files' pages that were touched are in it.</summary>
internal static class ProcessMemory
{
    /// <summary>Lowers the recorded peak to what is resident now, and says how much that is.</summary>
    /// <exception cref="IOException">The system does not let it, or is no Linux.</exception>
    /// <exception cref="UnauthorizedAccessException">It is not for this process.</exception>
    public static long ResetPeak()
    {
        File.WriteAllText("/proc/self/clear_refs", "5");
        return Field("VmRSS");
    }

    public static long Peak() => Field("VmHWM");

    public static long Resident() => Field("VmRSS");

    private static long Field(string name) =>
        1024 * long.Parse(
            File.ReadLines("/proc/self/status").Single(line => line.StartsWith(name, StringComparison.Ordinal)).Split(':', 'k')[1],
            CultureInfo.InvariantCulture);
}
