using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Hub;

/// <summary>Whether the files will fit: said before hours of fetching.</summary>
internal static class DiskRoom
{
    /// <summary>Bytes still to come; by sizes alone, as nothing is read for it.</summary>
    public static long Needed(IReadOnlyList<HubFile> files, string folder) => files.Sum(file =>
    {
        var target = LocalPath.In(folder, file.Path);
        return new FileInfo(target) is { Exists: true } there && there.Length == file.Size
            ? 0 : Math.Max(0, file.Size - PartialFile.LengthFor(target));
    });

    /// <param name="folder">It may not exist yet.</param>
    public static long Free(string folder)
    {
        var existing = folder;
        while (!Directory.Exists(existing)) existing = Path.GetDirectoryName(existing)!;
        return new DriveInfo(existing).AvailableFreeSpace;
    }

    /// <exception cref="InputException">There is too little.</exception>
    public static void Check(long needed, long free, string folder)
    {
        if (needed > free)
            throw new InputException($"--to: too little room, got {Words.Bytes(free)} free in {folder} for {Words.Bytes(needed)}; " +
                "make room or choose another folder.");
    }
}
