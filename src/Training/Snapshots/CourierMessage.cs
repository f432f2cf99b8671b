using System.Runtime.InteropServices;
using System.Text.Json;

namespace Phi3VCluster.Training.Snapshots;

internal enum CourierVerb
{
    /// <summary>A part follows: masters, m and v.</summary>
    Put = 1,
    /// <summary>A range of a part is wanted.</summary>
    Get = 2,
    /// <summary>The metadata of a version is wanted.</summary>
    Metadata = 3,
    /// <summary>It is stored; or what was wanted follows.</summary>
    Done = 4,
    /// <summary>It is not held, or not wanted.</summary>
    Refused = 5,
}

/// <summary>What two couriers say to each other, ahead of the data that may follow.</summary>
/// <param name="Rank">Whose part.</param>
/// <param name="WorldSize">Ranks that the version is cut for.</param>
/// <param name="Offset">In the part, in elements.</param>
/// <param name="Count">Elements; of metadata, bytes.</param>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct CourierMessage(
    CourierVerb Verb, int Rank, int WorldSize, long Generation, long Step, long Offset, long Count)
{
    /// <summary>Of a part, that travel at a time: a buffer of 1 MiB a connection.</summary>
    public const int ChunkElements = 1 << 18;

    private const int Bytes = 48;

    public StateVersion Version => new(Generation, Step);

    public static CourierMessage Of(CourierVerb verb, StateVersion version, int rank, int worldSize, long offset, long count) =>
        new(verb, rank, worldSize, version.Generation, version.Step, offset, count);

    public void Send(IPeerChannel channel, CancellationToken stop)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        MemoryMarshal.Write(bytes, in this);
        channel.Send(bytes, stop);
    }

    public static CourierMessage Receive(IPeerChannel channel, CancellationToken stop)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        channel.Receive(bytes, stop);
        return MemoryMarshal.Read<CourierMessage>(bytes);
    }

    /// <summary>The pieces that so many elements travel in.</summary>
    public static IEnumerable<(long Offset, int Count)> Chunks(long elements)
    {
        for (long offset = 0; offset < elements; offset += ChunkElements)
            yield return (offset, (int)Math.Min(ChunkElements, elements - offset));
    }

    public static byte[] Pack(StateMetadata metadata) =>
        JsonSerializer.SerializeToUtf8Bytes(new PackedMetadata(metadata.Stage, metadata.Scalars, metadata.History()));

    public static StateMetadata Unpack(byte[] bytes)
    {
        var metadata = JsonSerializer.Deserialize<PackedMetadata>(bytes)!;
        return new(metadata.Stage, metadata.Scalars, () => metadata.History);
    }

    private sealed record PackedMetadata(int Stage, string Scalars, string History);
}
