using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Engine;

/// <summary>The node's CUDA devices. Each is one rank's, from its preflight until its thread has really ended. Thread-safe.</summary>
internal sealed class Devices(int count)
{
    private readonly bool[] _taken = new bool[count];
    private readonly object _gate = new();

    public int Count => count;

    /// <summary>A device that is nobody's; waits for one, since ranks of a run that has just ended may still be leaving theirs.</summary>
    /// <exception cref="InputException">None became free.</exception>
    public DeviceClaim Claim(TimeSpan patience)
    {
        var deadline = Environment.TickCount64 + (long)patience.TotalMilliseconds;
        lock (_gate)
        {
            while (true)
            {
                if (Array.IndexOf(_taken, false) is var index and >= 0)
                {
                    _taken[index] = true;
                    return new DeviceClaim(index, () => GiveBack(index));
                }
                var left = deadline - Environment.TickCount64;
                if (left <= 0 || !Monitor.Wait(_gate, TimeSpan.FromMilliseconds(left)))
                    throw new InputException($"cluster.device: every CUDA device of {Environment.MachineName} is in use, "
                        + $"got {count} of {count}; wait for the run that has them, or ask for fewer ranks.");
            }
        }
    }

    private void GiveBack(int index)
    {
        lock (_gate)
        {
            _taken[index] = false;
            Monitor.PulseAll(_gate);
        }
    }
}

/// <summary>A device that one rank may use until this is disposed.</summary>
internal sealed class DeviceClaim(int index, Action giveBack) : IDisposable
{
    private int _disposed;

    public int Index => index;

    /// <summary>The device has failed: nobody gets it again while this process lives.</summary>
    public void Withdraw() => Interlocked.Exchange(ref _disposed, 1);

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0) giveBack();
    }
}
