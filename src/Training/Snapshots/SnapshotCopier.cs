using System.Collections.Concurrent;
using System.Diagnostics;

namespace Phi3VCluster.Training.Snapshots;

/// <summary>
/// Copies a state on a thread of its own, one after the other, while the rank's thread computes. Whoever writes what is copied waits for
/// the copy first.
/// </summary>
public sealed class SnapshotCopier : IDisposable
{
    private readonly BlockingCollection<(Action Copy, TaskCompletionSource Done)> _copies = [];
    private readonly Thread _thread;
    private long _lastTicks;

    public SnapshotCopier()
    {
        _thread = new(Run) { Name = "snapshot", IsBackground = true };
        _thread.Start();
    }

    /// <summary>What the last one took.</summary>
    public double LastSeconds => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref _lastTicks)).TotalSeconds;

    /// <param name="copy">Uses no tensors: scopes and gradient mode are the rank thread's.</param>
    /// <returns>Done when it is; failed as it failed.</returns>
    public Task Begin(Action copy)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _copies.Add((copy, done));
        return done.Task;
    }

    /// <summary>Waits for those that were begun.</summary>
    public void Dispose()
    {
        _copies.CompleteAdding();
        _thread.Join();
        _copies.Dispose();
    }

    private void Run()
    {
        foreach (var (copy, done) in _copies.GetConsumingEnumerable())
        {
            var began = Stopwatch.GetTimestamp();
            try
            {
                copy();
                Interlocked.Exchange(ref _lastTicks, Stopwatch.GetTimestamp() - began);
                done.SetResult();
            }
            catch (Exception error)
            {
                done.SetException(error);
            }
        }
    }
}
