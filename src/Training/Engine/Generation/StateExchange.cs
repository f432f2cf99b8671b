using System.Text.Json;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// Brings all ranks of a generation to one state: the source's, which is in its memory, in a checkpoint, or the start. All ranks call it
/// together, first of all.
/// </summary>
internal sealed class StateExchange(RunHome home, ICollective collective, int source, ShardLayout layout)
{
    private const long ChunkElements = 1 << 22; // three buffers of 16 MiB

    private bool IsSource => collective.Rank == source;

    /// <param name="shards">Where the state is that all go on from instead of the source's.</param>
    /// <param name="stop">Ends the waits for other seats.</param>
    /// <exception cref="RankFault">A rank's weights or samples are others, or no state can be reached any more.</exception>
    /// <exception cref="CollectiveException">A peer is gone: the state is whole or torn, and says which.</exception>
    public void Run(ShardPlan? shards = null, CancellationToken stop = default)
    {
        if (shards is null) home.OpenCheckpoint();
        var standings = Exchange(JsonSerializer.SerializeToUtf8Bytes(Own()))
            .Select(bytes => JsonSerializer.Deserialize<Standing>(bytes)!).ToList();
        var other = standings.FindIndex(one => one.Fingerprint != standings[0].Fingerprint);
        if (other > 0)
            throw new RankFault($"rank 0 has {standings[0].Fingerprint}, but rank {other} has {standings[other].Fingerprint}; "
                + "all nodes need the same model and data, and one precision that all of them compute.");
        if (shards is not null)
        {
            using var restore = new ShardRestore(home, collective, layout, shards, stop);
            restore.Run();
        }
        else Adopt(standings);
        home.Restored();
    }

    private void Adopt(IReadOnlyList<Standing> standings)
    {
        var target = standings[source];
        if (target is { Step: 0, Stage: TrainingStage.EvaluateBefore })
        {
            if (home.State.IsTorn || home.State.Position != TrainingPosition.Start) home.StartAnew();
            home.State.Own(layout); // every rank has the start, or has just made it
        }
        else if (standings.Any(one => (one.Step, one.Committed) != (target.Step, target.Committed) || !one.IsLive)
            || !home.State.Optimizer.Layout.Pieces.SequenceEqual(layout.Pieces))
        {
            Transfer();
        }
        if (!target.IsLive || standings.Any(one => one != target)) // the same position, other scalars: silent damage later
        {
            var words = Exchange(IsSource ? JsonSerializer.SerializeToUtf8Bytes((string[])[Scalars(), History()]) : []);
            if (JsonSerializer.Deserialize<string[]>(words[source]) is [var scalars, var history])
                home.State.Adopt(scalars, history, home.SampleIds);
        }
    }

    private Standing Own()
    {
        var offer = home.Offer("", 0);
        var committed = offer.IsLive && home.State.Records is [.., var last] ? last.Generation : 0;
        return new(offer.Step, offer.Stage, offer.IsLive, home.Fingerprint, offer.IsLive ? home.State.Hash() : "", committed);
    }

    private string Scalars() => home.Unread?.Manifest.Scalars ?? home.State.Scalars();

    private string History() => home.Unread?.History ?? home.State.History()();

    /// <summary>Has all ranks take the tensors of the source, which should have been theirs: they stand at one position.</summary>
    public void Repair()
    {
        Transfer();
        home.State.Mend();
    }

    /// <summary>
    /// All of the buffer in chunks, from the source to every rank, which keeps what is its own: the sum of one and zeros. A source that has
    /// the whole state in memory only gives: if this breaks off, it still has it.
    /// </summary>
    private void Transfer()
    {
        using var quiet = no_grad();
        var (state, shards) = (home.State, new List<StateShard>());
        var gives = IsSource && home.Unread is null && state.Optimizer.Layout.Pieces.SequenceEqual(layout.Pieces);
        try
        {
            if (IsSource && home.Unread is null) shards.AddRange(state.Optimizer.Copy()); // before it owns less
            state.Own(layout);
            if (!gives) state.Tear();
            for (var chunk = new ShardRange(0, 0); chunk.End < state.Parameters.Count;)
            {
                using var scope = NewDisposeScope();
                chunk = new(chunk.End, Math.Min(ChunkElements, state.Parameters.Count - chunk.End));
                var sent = new StateShard(chunk, zeros(chunk.Count), zeros(chunk.Count), zeros(chunk.Count));
                if (IsSource) EachShard(shards, shard => Copy(shard, sent));
                foreach (var part in (Tensor[])[sent.Masters, sent.FirstMoments, sent.SecondMoments]) Sum(part);
                if (gives) continue;
                state.Optimizer.Restore(sent);
                // Their rounding, of other ranks' parts too.
                state.Parameters.Values.narrow(0, chunk.Offset, chunk.Count).copy_(sent.Masters);
            }
        }
        finally
        {
            shards.ForEach(shard => shard.Dispose());
        }
    }

    private void EachShard(List<StateShard> live, Action<StateShard> take)
    {
        if (home.Unread is { } stored) stored.Read(take);
        else live.ForEach(take);
    }

    private static void Copy(StateShard from, StateShard to)
    {
        var (start, end) = (Math.Max(from.Flat.Offset, to.Flat.Offset), Math.Min(from.Flat.End, to.Flat.End));
        if (start >= end) return;
        Part(from.Masters, to.Masters);
        Part(from.FirstMoments, to.FirstMoments);
        Part(from.SecondMoments, to.SecondMoments);

        void Part(Tensor source, Tensor target) =>
            target.narrow(0, start - to.Flat.Offset, end - start).copy_(source.narrow(0, start - from.Flat.Offset, end - start));
    }

    private void Sum(Tensor part)
    {
        if (collective.WorldSize > 1) collective.AllReduce(part);
    }

    private IReadOnlyList<byte[]> Exchange(byte[] message) => [.. RankMessages.Exchange(collective, message)];

    /// <summary>What a rank comes with.</summary>
    /// <param name="Committed">
    /// The generation that committed its last step: who did that step anew, over fewer ranks, has values with other last bits.
    /// </param>
    private sealed record Standing(long Step, TrainingStage Stage, bool IsLive, string Fingerprint, string Hash, long Committed);
}
