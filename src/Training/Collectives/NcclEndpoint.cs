using Phi3VCluster.Training.Native;
using TorchSharp;

namespace Phi3VCluster.Training.Collectives;

/// <summary>Two listening ends, for the host ring and for the watch; NCCL itself is met through them.</summary>
internal sealed class NcclEndpoint : ICollectiveEndpoint
{
    private readonly NcclLibrary _nccl;
    private readonly IDeviceStreams _streams;
    private readonly DeviceType _memory;
    private readonly TcpEndpoint _ring, _watch;
    private readonly NcclAddress _address;

    /// <param name="host">An address of this machine.</param>
    /// <param name="nccl">The library.</param>
    /// <param name="streams">Of the rank's device.</param>
    /// <param name="memory">Of the tensors that NCCL moves.</param>
    /// <exception cref="CollectiveException"><paramref name="host"/> is no address of this machine.</exception>
    public NcclEndpoint(string host, NcclLibrary nccl, IDeviceStreams streams, DeviceType memory)
    {
        (_nccl, _streams, _memory) = (nccl, streams, memory);
        _ring = new(host);
        _watch = new(host);
        _address = new(_ring.Address, _watch.Address, NcclAddress.ThisHost, streams.Identity, nccl.Version);
    }

    public string Address => _address.ToString();

    /// <summary>The calling thread is the rank's: the device becomes its own.</summary>
    public ICollective Connect(long generation, int rank, IReadOnlyList<string> addresses, CancellationToken stop)
    {
        using (this)
        {
            NcclAddress[] ranks = [.. addresses.Select(NcclAddress.Parse)];
            NcclMeeting.Check(ranks);
            var meeting = new NcclMeeting(_ring.Connect(generation, rank, [.. ranks.Select(r => r.Ring)], stop), Watch: null);
            try
            {
                if (ranks.Length > 1)
                {
                    var (next, previous) = _watch.ConnectNeighbours(generation, rank, [.. ranks.Select(r => r.Watch)], stop);
                    meeting = meeting with { Watch = new(next, previous, rank, ranks.Length) };
                }
                return new NcclCollective(meeting, _nccl, _streams, _memory, stop);
            }
            catch (Exception failure) when (failure is CollectiveException or StreamException)
            {
                meeting.Dispose(); // peers need not wait for this rank
                throw new CollectiveException($"rank {rank} of {ranks.Length} (generation {generation}): {failure.Message.TrimEnd('.')}.", failure);
            }
        }
    }

    public void Dispose()
    {
        _ring.Dispose();
        _watch.Dispose();
    }
}
