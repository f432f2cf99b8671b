namespace Phi3VCluster.Bench.CheckpointLoad;

/// <summary>The process's resident memory, in bytes, as the kernel counts it; mapped files' pages that were touched are in it.</summary>
internal static class Memory
{
    /// <summary>Lowers the recorded peak to what is resident now, and says how much that is.</summary>
    public static long ResetPeak()
    {
        File.WriteAllText("/proc/self/clear_refs", "5");
        return Field("VmRSS");
    }

    public static long Peak() => Field("VmHWM");

    public static long Resident() => Field("VmRSS");

    private static long Field(string name) =>
        long.Parse(File.ReadLines("/proc/self/status").Single(line => line.StartsWith(name, StringComparison.Ordinal)).Split(':', 'k')[1]) * 1024;
}
