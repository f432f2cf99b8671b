using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// Brings a folder's entries to the disk: a file that was flushed and renamed is still lost in a power cut while the folder is not. Does
/// nothing where the system has no such call.
/// </summary>
public static partial class FolderSync
{
    public static void Flush(string folder)
    {
        if (!OperatingSystem.IsLinux()) return;
        var handle = Open(folder, flags: 0);
        if (handle < 0) return; // it was flushed before it became unreadable, or the write that follows says what is wrong
        Fsync(handle);
        Close(handle);
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync")]
    private static partial int Fsync(int handle);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int handle);
}
