using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Collectives;

/// <summary>The ranks of one generation, connected by sockets, before NCCL joins them.</summary>
/// <param name="Ring">Moves host memory.</param>
/// <param name="Watch">Null in a world of one.</param>
internal sealed record NcclMeeting(ICollective Ring, NcclWatch? Watch) : IDisposable
{
    /// <summary>What NCCL would refuse after all have met, or not at all; said before.</summary>
    /// <exception cref="CollectiveException">Two ranks on one GPU, or two versions of NCCL.</exception>
    public static void Check(IReadOnlyList<NcclAddress> ranks)
    {
        for (var rank = 1; rank < ranks.Count; rank++)
        {
            if (ranks[rank].Version != ranks[0].Version)
                throw new CollectiveException($"rank 0 has NCCL {NcclLibrary.Words(ranks[0].Version)}, rank {rank} has "
                    + $"{NcclLibrary.Words(ranks[rank].Version)}; use the same PyTorch on all nodes, or cluster.collective: tcp.");
            for (var other = 0; other < rank; other++)
                if ((ranks[rank].Host, ranks[rank].Device) == (ranks[other].Host, ranks[other].Device))
                    throw new CollectiveException($"ranks {other} and {rank} compute on the same GPU ({ranks[rank].Device}), which NCCL refuses; "
                        + "give each rank a GPU, or write cluster.collective: tcp.");
        }
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

    public void Dispose()
    {
        Ring.Dispose();
        Watch?.Dispose();
    }
}
