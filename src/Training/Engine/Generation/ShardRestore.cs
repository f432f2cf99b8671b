using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using Phi3VCluster.Training.Snapshots;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// Brings all ranks of a generation to a version that seats hold in parts, cut anew for the ranks there are now. Each rank fetches what it
/// is to own from whoever has it, through host memory; then the ranks give each other the values. Scalars and step records come from
/// one seat.
/// </summary>
/// <param name="layout">What this rank is to own.</param>
/// <param name="stop">Ends the waits for other seats.</param>
internal sealed class ShardRestore(RunHome home, ICollective collective, ShardLayout layout, ShardPlan plan, CancellationToken stop)
    : IDisposable
{
    private const long ChunkElements = 1 << 22; // 48 MiB at a time

    private readonly Dictionary<string, CourierConversation> _conversations = [];

    /// <exception cref="CollectiveException">
    /// A peer is gone, or seats that were said to hold parts do not give them; names one that is a rank.
    /// </exception>
    public void Run()
    {
        var state = home.State;
        var knows = plan.Holders.FirstOrDefault(holder => holder.Courier == plan.MetadataCourier)?.Member ?? -1;
        var metadata = FromAny([new(-1, plan.MetadataCourier, knows)], "what goes with", asked => asked.Metadata(plan.Version));
        state.Tear();
        state.Own(layout);
        for (var rank = 0; rank < plan.WorldSize; rank++)
        {
            var theirs = GenerationBuilder.LayoutOf(home.Spec, home.State, rank, plan.WorldSize);
            foreach (var range in Overlaps(theirs.Pieces, layout.Pieces)) Take(rank, range);
        }
        state.Optimizer.StoreMasters();
        state.GatherValues(collective);
        state.Adopt(metadata.Scalars, metadata.History(), home.SampleIds);
    }

    public void Dispose()
    {
        foreach (var conversation in _conversations.Values) conversation.Dispose();
    }

    /// <summary>A part of what the rank owned, which is this rank's now.</summary>
    private void Take(int rank, OwnRange range)
    {
        for (var done = 0L; done < range.Flat.Count;)
        {
            var flat = new ShardRange(range.Flat.Offset + done, Math.Min(ChunkElements, range.Flat.Count - done));
            var offset = range.Piece.Local(flat).Offset;
            using var memory = new ShardMemory(flat.Count);
            if (!home.Shards!.TryCopy(plan.Version, rank, offset, memory))
            {
                FromAny(plan.Holders.Where(holder => holder.Rank == rank), $"rank {rank}'s part of", asked =>
                {
                    asked.Get(plan.Version, rank, offset, memory);
                    return true;
                });
            }
            using var all = TensorMemory.View(memory.Address, [ShardMemory.Parts, flat.Count], ScalarType.Float32);
            home.State.Optimizer.Restore(new(flat, all[0], all[1], all[2]));
            done += flat.Count;
        }
    }

    private T FromAny<T>(IEnumerable<ShardHolder> holders, string what, Func<CourierConversation, T> ask)
    {
        IOException? last = null;
        int? peer = null;
        foreach (var (_, courier, member) in holders)
        {
            try
            {
                if (!_conversations.TryGetValue(courier, out var conversation))
                    _conversations.Add(courier, conversation = home.Shards!.Ask(courier, stop));
                return ask(conversation);
            }
            catch (IOException lost)
            {
                (last, peer) = (lost, member >= 0 ? member : peer);
                if (_conversations.Remove(courier, out var broken)) broken.Dispose();
            }
        }
        throw new CollectiveException($"{what} {plan.Version} cannot be had: {last?.Message ?? "nobody holds it"}", last, peer);
    }

    /// <returns>With pieces of the first.</returns>
    private static IEnumerable<OwnRange> Overlaps(IReadOnlyList<ShardPiece> theirs, IReadOnlyList<ShardPiece> own)
    {
        var next = 0; // both are in order
        foreach (var piece in theirs)
        {
            while (next > 0 && own[next - 1].Flat.End > piece.Flat.Offset) next--;
            for (; next < own.Count && own[next].Flat.Offset < piece.Flat.End; next++)
            {
                var (start, end) = (Math.Max(piece.Flat.Offset, own[next].Flat.Offset), Math.Min(piece.Flat.End, own[next].Flat.End));
                if (start < end) yield return new(piece, new(start, end - start));
            }
        }
    }
}
