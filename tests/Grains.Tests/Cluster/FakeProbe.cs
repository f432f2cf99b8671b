using System.Collections.Concurrent;
using Orleans;
using Phi3VCluster.Grains.Checks;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Engine.Checks;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>A node that says of itself what the test wants. The ways to others are real sockets, but where the test closes one.</summary>
internal sealed class FakeProbe : INodeProbe, IIncomingGrainCallFilter
{
    private readonly NodeProbe _real = new(hasRanks: true, usesGpus: false, "127.0.0.1", tls: null, () => null);
    private readonly ConcurrentQueue<string> _opened = new();

    /// <summary>How far its clock is ahead.</summary>
    public TimeSpan Ahead { get; set; }

    public DateTimeOffset? CertificateEnd { get; set; }

    /// <summary>Questions of a check are never answered.</summary>
    public bool IsDeaf { get; set; }

    /// <summary>What comes of going to another node's ends, in place of what would.</summary>
    public Dictionary<FakeProbe, Reach> Instead { get; } = [];

    public DateTimeOffset Now => DateTimeOffset.UtcNow + Ahead;

    public DeviceReport Devices() => _real.Devices();

    public IPeerEndpoint Open()
    {
        var end = _real.Open();
        _opened.Enqueue(end.Address);
        return end;
    }

    public Reach Reach(string address, CancellationToken stop) =>
        Instead.FirstOrDefault(other => other.Key._opened.Contains(address)).Value ?? _real.Reach(address, stop);

    public Task Invoke(IIncomingGrainCallContext context) =>
        IsDeaf && context.Grain is NodeCheckGrain ? Task.Delay(Timeout.Infinite) : context.Invoke();
}
