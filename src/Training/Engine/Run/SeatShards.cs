using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Snapshots;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// What a seat holds of a sharded state in host memory, as long as the run keeps the seat: its own parts as they were at some steps, and
/// its buddies'. The next generation restores from these, whoever of its seats was lost.
/// </summary>
internal sealed class SeatShards : IDisposable
{
    private readonly SnapshotBook _book = new();
    private readonly SnapshotCopier _copier = new();
    private readonly SnapshotCourier _courier;
    private (long Generation, int Rank, int WorldSize)? _joined; // whose part the state is

    /// <param name="end">Where others find this seat; owned from here on.</param>
    /// <param name="elements">Of the whole state.</param>
    public SeatShards(IPeerEndpoint end, long elements) => _courier = new(end, _book, elements);

    /// <summary>Whether the machines have room for it.</summary>
    public bool IsUsed { get; set; }

    public bool IsEmpty => _book.Held.Count == 0;

    public long Bytes => _book.Bytes;

    public string Address => _courier.Address;

    /// <summary>The newest of its snapshots that its buddy has as well, of the generation that it is in.</summary>
    public StateVersion? Stored => _courier.Stored;

    public IReadOnlyList<HeldShards> Held =>
        [.. _book.Held.Select(one => new HeldShards(one.Version, (TrainingStage?)one.Stage, one.WorldSize, one.Ranks))];

    /// <summary>The state is this generation's from now on.</summary>
    /// <param name="from">What it was restored from; null where that is in no book.</param>
    public void Join(ICollective collective, StateVersion? from)
    {
        _joined = (collective.Generation, collective.Rank, collective.WorldSize);
        _book.OldestGeneration = collective.Generation;
        _book.Restored(from);
    }

    /// <summary>What the last copy took that <see cref="Hold"/> left to its own thread.</summary>
    public double CopySeconds => _copier.LastSeconds;

    /// <summary>
    /// Holds the state as it is. What lies in host memory is copied beside the rank's thread, which goes on as long as it writes nothing:
    /// <see cref="TrainingState.Settle"/>. From a device it is copied at once.
    /// </summary>
    /// <param name="buddy">Is brought the own part when it is copied, in the background; null for none.</param>
    public StateVersion Hold(TrainingState state, string? buddy = null)
    {
        state.Settle();
        var (generation, rank, worldSize) = _joined!.Value;
        var (version, metadata) = (new StateVersion(generation, state.Position.Step), state.Metadata());
        if (_book.Holds(version, rank)) Describe();
        else
        {
            var memory = _book.Rent(state.Optimizer.Layout.OwnCount);
            if (state.Optimizer.InHostMemory() is { } pieces)
            {
                state.Copying = _copier.Begin(() =>
                {
                    memory.Fill(pieces);
                    Keep(memory);
                });
                return version;
            }
            using (var view = TensorMemory.View(memory.Address, [ShardMemory.Parts, memory.Elements], ScalarType.Float32))
                state.Optimizer.CopyTo(view);
            Keep(memory);
        }
        return version;

        void Keep(ShardMemory memory)
        {
            _book.Keep(version, rank, worldSize, memory);
            Describe();
        }

        void Describe()
        {
            _book.Describe(version, worldSize, metadata);
            if (buddy is not null) _courier.Send(buddy, version, rank, worldSize);
        }
    }

    /// <summary>Every rank's part of a version is with two seats: those before it are of no more use.</summary>
    public void Counted(StateVersion version) => _book.Counted(version);

    /// <summary>A generation is over.</summary>
    public void Park(TrainingState state)
    {
        state.Settle();
        _courier.Rest();
        if (!IsUsed || _joined is null || state.IsTorn || state.Position == TrainingPosition.Start) return;
        Hold(state);
        state.Settle();
    }

    /// <summary>A range of a rank's part, from this seat if it holds it.</summary>
    public bool TryCopy(StateVersion version, int rank, long offset, ShardMemory to)
    {
        for (var part = 0; part < ShardMemory.Parts; part++)
            if (!_book.TryCopy(version, rank, part, offset, to.Of(part, 0, (int)to.Elements))) return false;
        return true;
    }

    public CourierConversation Ask(string courier, CancellationToken stop) => _courier.Ask(courier, stop);

    public void Dispose()
    {
        _copier.Dispose();
        _courier.Dispose();
        _book.Dispose();
    }
}
