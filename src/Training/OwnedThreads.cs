using System.Collections.Concurrent;

namespace Phi3VCluster.Training;

/// <summary>Background threads that end with their owner: whatever they wait for, they wait with <see cref="Stop"/>.</summary>
internal sealed class OwnedThreads : IDisposable
{
    private readonly CancellationTokenSource _stop = new(); // has no timer and no handle: nothing to dispose
    private readonly ConcurrentDictionary<Thread, bool> _running = new();

    public CancellationToken Stop => _stop.Token;

    /// <param name="work">May end by the exception that <see cref="Stop"/> makes.</param>
    public void Start(string name, Action work)
    {
        Thread thread = null!;
        thread = new Thread(() =>
        {
            try
            {
                work();
            }
            catch (OperationCanceledException)
            {
                // the owner is done
            }
            _running.TryRemove(thread, out _);
        })
        {
            Name = name,
            IsBackground = true,
        };
        _running.TryAdd(thread, true);
        thread.Start();
    }

    /// <summary>Waits until all have ended, those too that were started meanwhile.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        while (!_running.IsEmpty)
            foreach (var thread in _running.Keys) thread.Join();
    }
}
