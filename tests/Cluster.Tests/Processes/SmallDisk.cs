using System.Diagnostics;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>A file system of its own size at a folder, that a test can fill.</summary>
public sealed class SmallDisk : IDisposable
{
    private SmallDisk(string folder) => Folder = folder;

    public string Folder { get; }

    private string Filler => Path.Combine(Folder, "filler");

    /// <summary>Skips the test where this user may not mount one.</summary>
    public static SmallDisk Mount(string folder, int megabytes)
    {
        Directory.CreateDirectory(folder);
        Assert.SkipUnless(Run("mount", "-t", "tmpfs", "-o", $"size={megabytes}m", "tmpfs", folder), "only root mounts a file system");
        return new(folder);
    }

    /// <param name="left">Bytes that stay free: a multiple of a page.</param>
    public void Fill(int left = 0)
    {
        var block = new byte[1 << 16];
        using var file = new FileStream(Filler, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        for (var size = block.Length; size > 0;)
        {
            try
            {
                file.Write(block, 0, size);
            }
            catch (IOException)
            {
                size /= 2;
            }
        }
        file.SetLength(file.Length - left);
    }

    public void Free() => File.Delete(Filler);

    public void Dispose() => Run("umount", "--lazy", Folder);

    private static bool Run(string command, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode == 0;
    }
}
