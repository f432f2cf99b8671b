using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Collectives;

/// <summary>Two listening ends, for the host ring and for the watch; NCCL itself is met through them.</summary>
internal sealed class NcclEndpoint : ICollectiveEndpoint
{
    private readonly NcclDevice? _device;
    private readonly bool _orTcp;
    private readonly TcpEndpoint _ring, _watch;
    private readonly NcclAddress _address;

    /// <param name="host">An address of this machine.</param>
    /// <param name="device">Null where this rank cannot use NCCL.</param>
    /// <param name="lack">Why it cannot.</param>
    /// <param name="orTcp">Where NCCL cannot join the ranks, the host ring does: the same for all ranks.</param>
    /// <param name="tls">For the sockets of the two ends; null: in the clear.</param>
    /// <param name="isLocalToo">As of <see cref="TcpEndpoint"/>.</param>
    /// <exception cref="CollectiveException"><paramref name="host"/> is no address of this machine.</exception>
    public NcclEndpoint(
        string host, NcclDevice? device, string lack = "", bool orTcp = false, IPeerTls? tls = null, bool isLocalToo = true)
    {
        (_device, _orTcp) = (device, orTcp);
        _ring = new(host, tls, isLocalToo);
        _watch = new(host, tls, isLocalToo);
        _address = new(
            _ring.Address, _watch.Address, NcclAddress.ThisHost, device?.Streams.Identity ?? "-", device?.Nccl.Version ?? 0, lack);
    }

    public string Address => _address.ToString();

    /// <summary>The calling thread is the rank's: the device becomes its own.</summary>
    public ICollective Connect(long generation, int rank, IReadOnlyList<string> addresses, CancellationToken stop)
    {
        using (this)
        {
            NcclAddress[] ranks = [.. addresses.Select(NcclAddress.Parse)];
            var problem = NcclMeeting.Problem(ranks);
            if (problem is not null && !_orTcp) throw new CollectiveException($"{problem}, or write cluster.collective: tcp.");
            var ring = _ring.Connect(generation, rank, [.. ranks.Select(r => r.Ring)], stop);
            if (problem is not null) return new HostStaging(ring, $"gradients go over tcp by way of the host: {problem}");
            return Join(new NcclMeeting(ring, Watch: null), generation, ranks, stop);
        }
    }

    public void Dispose()
    {
        _ring.Dispose();
        _watch.Dispose();
    }

    private NcclCollective Join(NcclMeeting meeting, long generation, NcclAddress[] ranks, CancellationToken stop)
    {
        var rank = meeting.Ring.Rank;
        try
        {
            if (ranks.Length > 1)
            {
                var (next, previous) = _watch.ConnectNeighbours(generation, rank, [.. ranks.Select(r => r.Watch)], stop);
                meeting = meeting with { Watch = new(next, previous, rank, ranks.Length) };
            }
            return new NcclCollective(meeting, _device!, stop);
        }
        catch (Exception failure) when (failure is CollectiveException or StreamException)
        {
            meeting.Dispose(); // peers need not wait for this rank
            throw new CollectiveException($"rank {rank} of {ranks.Length} (generation {generation}): "
                + $"{failure.Message.TrimEnd('.')}.", failure);
        }
    }
}
