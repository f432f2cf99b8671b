namespace Phi3VCluster.Training.Engine;

/// <summary>The machine's memory.</summary>
internal static class HostMemory
{
    /// <summary>Bytes that could be had without swapping, and that a container's limit allows.</summary>
    public static long Available
    {
        get
        {
            var allowed = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
            var line = File.Exists("/proc/meminfo")
                ? File.ReadLines("/proc/meminfo").FirstOrDefault(l => l.StartsWith("MemAvailable:", StringComparison.Ordinal))
                : null;
            return line is not null && long.TryParse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], out var kilobytes)
                ? Math.Min(kilobytes << 10, allowed)
                : allowed;
        }
    }
}
