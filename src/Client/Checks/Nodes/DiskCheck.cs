using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Checks.Nodes;

/// <summary>Room and rights where runs' results go, by node.</summary>
internal static class DiskCheck
{
    private const double GiB = 1L << 30;

    /// <returns>Null where no node was asked.</returns>
    public static CheckRow? Row(string folder, IReadOnlyList<(string Node, DiskFinding Disk)> found)
    {
        if (found.Count == 0) return null;
        var bad = found.Where(one => one.Disk.Problem is not null || one.Disk.FreeBytes < MachineChecks.LeastDiskGiB * GiB).ToArray();
        return bad.Length == 0
            ? new("nodes' disks", true, $"{folder}: {ByNode.Say(found.Select(Words))}")
            : new("nodes' disks", false, $"{folder}: {ByNode.Say(bad.Select(Words))}; "
                + $"let the silo's user write there, with {MachineChecks.LeastDiskGiB} GiB and more free, or give another --output");
    }

    private static (string, string) Words((string Node, DiskFinding Disk) one) =>
        (one.Node, one.Disk.Problem ?? $"{one.Disk.FreeBytes / GiB:0.0} GiB free");
}
