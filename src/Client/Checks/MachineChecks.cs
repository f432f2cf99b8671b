using System.Globalization;
using System.Runtime.InteropServices;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Checks;

/// <summary>The machine itself.</summary>
internal static class MachineChecks
{
    private const double GiB = 1L << 30;
    private const double LeastMemoryGiB = 2;
    public const double LeastDiskGiB = 1; // what the quickstart takes, with room; memory too

    public static IEnumerable<CheckRow> All(string outputFolder)
    {
        yield return new(".NET runtime", Environment.Version.Major >= 10, RuntimeInformation.FrameworkDescription);
        yield return new("system", OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64,
            $"{RuntimeInformation.RuntimeIdentifier}; linux-x64 is needed");
        yield return new("cores", true, Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture));
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / GiB;
        yield return new("memory", memory >= LeastMemoryGiB,
            $"{memory:0.0} GiB; the quickstart needs {LeastMemoryGiB} GiB, `phi3v validate SPEC` says what a run needs");
        yield return Disk(outputFolder);
        yield return new("temporary folder", TemporaryFolder.Problem() is null, TemporaryFolder.Problem() ?? Path.GetTempPath());
    }

    private static CheckRow Disk(string outputFolder)
    {
        const string Name = "disk at output";
        if (RunSpecFiles.Problems(new RunSpec { Output = outputFolder }) is [var problem, ..]) return new(Name, false, problem);
        var existing = Path.GetFullPath(outputFolder);
        while (!Directory.Exists(existing)) existing = Path.GetDirectoryName(existing)!;
        var free = new DriveInfo(existing).AvailableFreeSpace / GiB;
        return new(Name, free >= LeastDiskGiB, $"{free:0.0} GiB free in {existing}; the quickstart needs {LeastDiskGiB} GiB");
    }
}
