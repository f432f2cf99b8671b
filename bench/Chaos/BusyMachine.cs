using System.Diagnostics;

namespace Phi3VCluster.Bench.Chaos;

/// <summary>Other processes that compute without a pause until the end of this, or of the process that made them.</summary>
internal sealed class BusyMachine(int load) : IDisposable
{
    private readonly List<Process> _others =
        [.. Enumerable.Range(0, load).Select(_ => Process.Start("sh", ["-c", "while kill -0 $PPID; do :; done 2>/dev/null"]))];

    public void Dispose()
    {
        foreach (var other in _others)
        {
            other.Kill();
            other.Dispose();
        }
    }
}
