using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Phi3VCluster.Client.Silo;

/// <summary>A process that an earlier command started. Its port tells it from another one that got its number.</summary>
/// <param name="PortOption">The option that its port was given with.</param>
internal sealed partial record EarlierProcess(int Id, string PortOption, int Port)
{
    private const int Terminate = 15, KillNow = 9;

    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);

    /// <summary>One that has ended has no command line any more, even before its parent has asked for its exit code.</summary>
    public bool IsAlive
    {
        get
        {
            try
            {
                return File.ReadAllText($"/proc/{Id}/cmdline").Contains($"{PortOption}\0{Port}\0", StringComparison.Ordinal);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }
    }

    /// <summary>Asks it to end, and ends it when it does not.</summary>
    public async Task StopAsync(TimeSpan patience)
    {
        if (IsAlive) kill(Id, Terminate);
        var since = Stopwatch.StartNew();
        while (IsAlive)
        {
            if (since.Elapsed > patience) kill(Id, KillNow);
            await Task.Delay(Poll);
        }
    }

    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);
}
