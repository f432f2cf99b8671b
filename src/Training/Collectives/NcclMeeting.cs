using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Collectives;

/// <summary>The ranks of one generation, connected by sockets, before NCCL joins them.</summary>
/// <param name="Ring">Moves host memory.</param>
/// <param name="Watch">Null in a world of one.</param>
internal sealed record NcclMeeting(ICollective Ring, NcclWatch? Watch) : IDisposable
{
    /// <summary>Why NCCL cannot join these ranks, where it would refuse after all have met, or not at all; null if it can.</summary>
    public static string? Problem(IReadOnlyList<NcclAddress> ranks)
    {
        for (var rank = 0; rank < ranks.Count; rank++)
        {
            var one = ranks[rank];
            if (one.Lack.Length > 0) return $"rank {rank} has no NCCL: {one.Lack}";
            if (one.Version != ranks[0].Version)
                return $"rank 0 has NCCL {NcclLibrary.Words(ranks[0].Version)}, rank {rank} has {NcclLibrary.Words(one.Version)}; "
                    + "use one PyTorch on all nodes";
            for (var other = 0; other < rank; other++)
                if ((one.Host, one.Device) == (ranks[other].Host, ranks[other].Device))
                    return $"ranks {other} and {rank} compute on the same GPU ({one.Device}), which NCCL refuses; give each rank a GPU";
        }
        return null;
    }

    /// <summary>
    /// Made by rank 0 alone, whose process then serves NCCL's own meeting, and told over the ring: one id a generation, so that a rank of
    /// another generation, which the ring has refused, cannot have it.
    /// </summary>
    /// <exception cref="CollectiveException">NCCL's reason, or a peer is gone.</exception>
    public unsafe NcclUniqueId ShareId(NcclLibrary nccl)
    {
        var id = default(NcclUniqueId);
        if (Ring.Rank == 0 && nccl.GetUniqueId(out id) is not NcclResult.Success and var failed)
            throw new CollectiveException($"ncclGetUniqueId failed: {nccl.Explain(failed)}");
        using var slots = zeros((long)NcclUniqueId.Size * Ring.WorldSize, dtype: ScalarType.Byte); // rank 0's part is the first
        new Span<byte>(id.Bytes, NcclUniqueId.Size).CopyTo(slots.bytes[(NcclUniqueId.Size * Ring.Rank)..]);
        Ring.AllGather(slots);
        slots.bytes[..NcclUniqueId.Size].CopyTo(new Span<byte>(id.Bytes, NcclUniqueId.Size));
        return id;
    }

    /// <summary>
    /// Returns when all ranks have joined: before that none may leave, for those that still join would take it for a loss.
    /// </summary>
    public void Conclude()
    {
        using var one = zeros(1);
        Ring.AllReduce(one);
    }

    public void Dispose()
    {
        Ring.Dispose();
        Watch?.Dispose();
    }
}
