using System.Collections.Concurrent;
using Orleans;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>A network that loses the next messages of a name.</summary>
internal sealed class LostMessages : IOutgoingGrainCallFilter
{
    private readonly ConcurrentDictionary<string, int> _toLose = new();

    /// <param name="method">E.g. JoinAsync.</param>
    public void Next(string method, int count) => _toLose[method] = count;

    /// <summary>How many of them are still to be lost.</summary>
    public int Left(string method) => _toLose.GetValueOrDefault(method);

    public Task Invoke(IOutgoingGrainCallContext context)
    {
        while (_toLose.TryGetValue(context.MethodName, out var left) && left > 0)
            if (_toLose.TryUpdate(context.MethodName, left - 1, left)) throw new TimeoutException($"{context.MethodName} was lost");
        return context.Invoke();
    }
}
