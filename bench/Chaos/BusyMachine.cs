using System.Diagnostics;

namespace Phi3VCluster.Bench.Chaos;

/// <summary>Other processes that compute without a pause until the end of this.</summary>
internal sealed class BusyMachine(int load) : IDisposable
{
    private readonly List<Process> _others =
        [.. Enumerable.Range(0, load).Select(_ => Process.Start("sh", ["-c", "while :; do :; done"]))];

    public void Dispose()
    {
        foreach (var other in _others)
        {
            other.Kill();
            other.Dispose();
        }
    }
}
