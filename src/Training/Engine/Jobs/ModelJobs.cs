using System.Collections.Concurrent;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>The node's jobs as threads of this process. See <see cref="IModelJobs"/> for the contract.</summary>
public sealed class ModelJobs : IModelJobs, IDisposable
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<string, ModelJobWorker> _workers = new();

    public void Start(string id, ModelJob job)
    {
        var worker = new ModelJobWorker(job);
        if (_workers.TryAdd(id, worker)) worker.Begin();
    }

    public JobProgress? Find(string id) => _workers.TryGetValue(id, out var worker) ? worker.Progress : null;

    public void Cancel(string id)
    {
        if (_workers.TryGetValue(id, out var worker)) worker.Cancel();
    }

    public void Forget(string id)
    {
        if (_workers.TryRemove(id, out var worker)) worker.Cancel();
    }

    public void Dispose()
    {
        foreach (var worker in _workers.Values) worker.Cancel();
        foreach (var worker in _workers.Values) worker.Join(StopTimeout);
    }
}
