using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>
/// One thread of another process that stands still until the end of this, while the rest of the process goes on: a rank that hangs. As a
/// debugger does it (ptrace): whoever attached ends, and the thread goes on. It is held where it waits in the kernel, since the next
/// garbage collection waits for a thread that stands in managed code, and the whole process with it.
/// </summary>
public sealed partial class FrozenThread : IDisposable
{
    private const int Continue = 7, Seize = 0x4206, Interrupt = 0x4207, AnyThread = 0x40000000;

    /// <summary>System calls, by x64's numbers: poll and ppoll, in which a rank waits for its peers.</summary>
    private static readonly string[] Waits = ["7", "271"];

    private readonly Thread _holder; // the kernel knows the attached thread, not its process
    private readonly ManualResetEventSlim _release = new();
    private readonly TaskCompletionSource<bool> _frozen = new();

    private FrozenThread(int process, int thread)
    {
        _holder = new Thread(() =>
        {
            try
            {
                _frozen.SetResult(Hold(process, thread));
            }
            catch (Exception error)
            {
                _frozen.SetException(error);
            }
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
        var frozen = new FrozenThread(process, int.Parse(Path.GetFileName(folder)));
        try
        {
            if (await frozen._frozen.Task) return frozen;
        }
        catch
        {
            frozen.Dispose();
            throw;
        }
        frozen.Dispose();
        return null;
    }

    public void Dispose()
    {
        _release.Set();
        _holder.Join();
        _release.Dispose();
    }

    private static bool Hold(int process, int thread)
    {
        if (Ptrace(Seize, thread, 0, 0) != 0) return false;
        for (var since = Stopwatch.StartNew(); since.Elapsed < CliSandbox.Timeout; Thread.Sleep(1))
        {
            if (Ptrace(Interrupt, thread, 0, 0) != 0 || WaitPid(thread, out _, AnyThread) != thread) return false;
            var call = File.ReadAllText($"/proc/{process}/task/{thread}/syscall").Split(' ')[0];
            if (Waits.Contains(call)) return true;
            Ptrace(Continue, thread, 0, 0);
        }
        throw new TimeoutException($"thread {thread} of process {process} was never seen waiting in the kernel.");
    }

    [LibraryImport("libc", EntryPoint = "ptrace")]
    private static partial long Ptrace(int request, int thread, nint address, nint data);

    [LibraryImport("libc", EntryPoint = "waitpid")]
    private static partial int WaitPid(int thread, out int status, int options);
}
