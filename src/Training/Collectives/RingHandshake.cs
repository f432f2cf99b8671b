using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// What two ends tell each other before any data, in both directions: the connecting end first, then the accepting one. Both compare.
/// </summary>
/// <param name="Magic">Whoever says something else speaks another protocol.</param>
/// <param name="Key">Of the accepting end's address: says that the peer was sent here.</param>
/// <param name="Generation">The rendezvous the speaker belongs to.</param>
/// <param name="Rank">The speaker's.</param>
/// <param name="WorldSize">The speaker's.</param>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct RingHandshake(ulong Magic, Guid Key, long Generation, int Rank, int WorldSize)
{
    /// <summary>"PHI3VRG" and the protocol's version.</summary>
    public const ulong ThisProtocol = 0x50484933_56524701;

    private const int Bytes = 40;

    public static RingHandshake Of(RingAddress acceptor, long generation, int rank, int worldSize) =>
        new(ThisProtocol, acceptor.Key, generation, rank, worldSize);

    /// <summary>What is wrong with the peer's words, seen from a speaker who said this; null if nothing is.</summary>
    public string? Refuse(RingHandshake peer, int peerRank) => peer switch
    {
        { Magic: not ThisProtocol } => "it speaks another protocol",
        _ when peer.Generation != Generation => $"it belongs to generation {peer.Generation}, this rank {Rank} to generation {Generation}",
        _ when peer.Key != Key => "it looks for another run's rank",
        _ when peer.WorldSize != WorldSize => $"its world size is {peer.WorldSize}, this rank's is {WorldSize}",
        _ when peer.Rank != peerRank => $"it is rank {peer.Rank}",
        _ => null,
    };

    public void Send(RankConnection to)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        MemoryMarshal.Write(bytes, in this);
        to.Send(bytes);
    }

    /// <param name="from">A connection on which nothing has been said.</param>
    /// <param name="patience">How long the peer may take.</param>
    /// <param name="stop">Ends the wait.</param>
    /// <returns>Null if the peer hung up or said nothing in time.</returns>
    /// <exception cref="SocketException">The connection broke.</exception>
    /// <exception cref="IOException">It says what it must not.</exception>
    public static RingHandshake? Receive(RankConnection from, TimeSpan patience, CancellationToken stop)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        var filled = 0;
        for (var waited = TimeSpan.Zero; waited < patience; waited += RingSockets.PollInterval)
        {
            stop.ThrowIfCancellationRequested();
            while (from.TryReceive(bytes[filled..]) is not 0 and var count)
            {
                if (count == RankConnection.Gone) return null;
                filled += count;
                if (filled == Bytes) return MemoryMarshal.Read<RingHandshake>(bytes);
            }
            from.Socket.Poll(RingSockets.PollInterval, SelectMode.SelectRead);
        }
        return null;
    }
}
