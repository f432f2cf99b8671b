using System.Globalization;
using System.Runtime.InteropServices;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Snapshots;

namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>
/// What a simulated seat holds of a sharded state: the real book, in which a part is the hash of the state that it is a part of.
/// </summary>
internal sealed class SimShards(SimSeat seat)
{
    private const int HashElements = 2; // eight bytes

    private readonly SnapshotBook _book = new();
    private (long Generation, int Rank, int WorldSize)? _joined;

    public string Courier => $"courier of {seat.Node.Silo}/{seat.Id.Seat}";

    public IReadOnlyList<HeldShards> Held =>
        [.. _book.Held.Select(one => new HeldShards(one.Version, (TrainingStage?)one.Stage, one.WorldSize, one.Ranks))];

    public void Join(long generation, int rank, int worldSize, StateVersion? from)
    {
        _joined = (generation, rank, worldSize);
        _book.OldestGeneration = generation;
        _book.Restored(from);
        if (seat.Node.Shared.Bug == Bug.DropsWhatCountedLast && from is { } version) _book.Counted(version);
    }

    /// <summary>The own part, as the state is.</summary>
    public StateVersion? Hold(SimState state)
    {
        if (_joined is not var (generation, rank, worldSize) || state.Position == SimState.Start.Position) return null;
        var version = new StateVersion(generation, state.Step);
        if (!_book.Holds(version, rank)) _book.Keep(version, rank, worldSize, PartOf(state.Hash));
        _book.Describe(version, worldSize, new((int)state.Stage, "", () => ""));
        return version;
    }

    /// <summary>A copy of somebody's part.</summary>
    /// <returns>False if it is of an earlier generation.</returns>
    public bool Keep(StateVersion version, int rank, int worldSize, ulong hash) => _book.Keep(version, rank, worldSize, PartOf(hash));

    public void Counted(StateVersion version) => _book.Counted(version);

    /// <returns>The hash that a rank's part is of; null where it is not held.</returns>
    public ulong? PartOf(StateVersion version, int rank)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        return _book.TryCopy(version, rank, 0, 0, bytes) ? MemoryMarshal.Read<ulong>(bytes) : null;
    }

    public TrainingStage? StageOf(StateVersion version) => (TrainingStage?)_book.MetadataOf(version)?.Stage;

    public override string ToString() => string.Join(' ', _book.Held.Select(one => string.Create(CultureInfo.InvariantCulture,
        $"{one.Version.Generation}@{one.Version.Step}:{string.Join(',', one.Ranks)}of{one.WorldSize}")));

    private ShardMemory PartOf(ulong hash)
    {
        var memory = _book.Rent(HashElements);
        MemoryMarshal.Write(memory.Of(0, 0, HashElements), hash);
        return memory;
    }
}
