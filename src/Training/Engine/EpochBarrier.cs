namespace Phi3VCluster.Training.Engine;

/// <summary>Where a rank waits at the end of an epoch until the coordinator has seen every rank there.</summary>
internal sealed class EpochBarrier : IDisposable
{
    private readonly SemaphoreSlim _passed = new(0);
    private int _lastPassed = -1;

    /// <summary>Opens the barrier at the end of <paramref name="epoch"/> and of all before it. From any thread.</summary>
    public void Pass(int epoch)
    {
        InterlockedMax(ref _lastPassed, epoch);
        _passed.Release();
    }

    /// <exception cref="OperationCanceledException">The rank was aborted while it waited.</exception>
    public void Wait(int epoch, CancellationToken stop)
    {
        while (Volatile.Read(ref _lastPassed) < epoch) _passed.Wait(stop);
    }

    public void Dispose() => _passed.Dispose();

    private static void InterlockedMax(ref int target, int value)
    {
        for (var seen = Volatile.Read(ref target); seen < value;)
        {
            var before = Interlocked.CompareExchange(ref target, value, seen);
            if (before == seen) return;
            seen = before;
        }
    }
}
