using System.Runtime.InteropServices;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>
/// One thread of another process that stands still until the end of this, while the rest of the process goes on: a rank that hangs. As a
/// debugger does it (ptrace): whoever attached ends, and the thread goes on.
/// </summary>
public sealed partial class FrozenThread : IDisposable
{
    private const int Seize = 0x4206, Interrupt = 0x4207;

    private readonly Thread _holder; // the kernel knows the attached thread, not its process
    private readonly ManualResetEventSlim _release = new();
    private readonly TaskCompletionSource<bool> _frozen = new();

    private FrozenThread(int thread)
    {
        _holder = new Thread(() =>
        {
            _frozen.SetResult(Ptrace(Seize, thread, 0, 0) == 0 && Ptrace(Interrupt, thread, 0, 0) == 0);
            _release.Wait();
        });
        _holder.Start();
    }

    /// <param name="name">What the thread's name begins with; one has such a name.</param>
    /// <returns>Null where this user may not.</returns>
    public static async Task<FrozenThread?> InAsync(int process, string name)
    {
        var folder = Assert.Single(Directory.GetDirectories($"/proc/{process}/task"),
            task => File.ReadAllText(Path.Combine(task, "comm")).StartsWith(name, StringComparison.Ordinal));
        var frozen = new FrozenThread(int.Parse(Path.GetFileName(folder)));
        if (await frozen._frozen.Task) return frozen;
        frozen.Dispose();
        return null;
    }

    public void Dispose()
    {
        _release.Set();
        _holder.Join();
        _release.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "ptrace")]
    private static partial long Ptrace(int request, int thread, nint address, nint data);
}
