namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>A process that stands still, whole, until the end of this.</summary>
public sealed class FrozenProcess : IDisposable
{
    private const int Stop = 19, Continue = 18;

    private readonly int _process;

    public FrozenProcess(int process)
    {
        _process = process;
        RunningProcess.Signal(process, Stop);
    }

    public void Dispose() => RunningProcess.Signal(_process, Continue);
}
