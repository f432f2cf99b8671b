using static TorchSharp.torch;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// The sums and exchanges between the ranks of one generation. Every rank calls the same operations in the same order with
/// buffers of the same size; each call blocks the rank's thread until its part is done. Only <see cref="Abort"/> and
/// <see cref="IDisposable.Dispose"/> may be called from another thread.
/// Results are bit-identical on all ranks and from run to run: the order of summation is fixed.
/// </summary>
public interface ICollective : IDisposable
{
    int Rank { get; }
    int WorldSize { get; }
    /// <summary>The rendezvous that made this collective; messages of any other are refused.</summary>
    long Generation { get; }
    /// <summary>Whether tensors may be on the rank's device; otherwise only on the CPU.</summary>
    bool TakesDeviceMemory => false;
    /// <summary>A line for the run's notes: why a slower way was taken; null if none was.</summary>
    string? Note => null;

    /// <summary>Sums <paramref name="buffer"/> (1-D, float32, contiguous) over all ranks, in place.</summary>
    /// <exception cref="CollectiveException">Aborted, a peer is gone, or peers disagree about the generation or the size.</exception>
    void AllReduce(Tensor buffer);

    /// <summary>
    /// Sums <paramref name="buffer"/> (1-D, float32, contiguous) over all ranks; afterwards this rank's part,
    /// <see cref="ShardRange.Of"/>(length, Rank, WorldSize), holds the sum and the rest is undefined.
    /// </summary>
    void ReduceScatter(Tensor buffer);

    /// <summary>
    /// Fills <paramref name="buffer"/> (1-D, any type, contiguous) with every rank's own part, as cut by <see cref="ShardRange.Of"/>.
    /// </summary>
    void AllGather(Tensor buffer);

    /// <summary>
    /// Begins an <see cref="AllReduce"/> that goes on beside the rank's own work. All ranks begin and call in the same order; a call that
    /// blocks comes after all that were begun. This one, of a collective that cannot do so, sums at once.
    /// </summary>
    /// <param name="buffer">Left alone, and alive, until the sum is there.</param>
    /// <param name="half">How its numbers travel; null: as they are.</param>
    /// <exception cref="NotSupportedException">The collective carries float32 alone.</exception>
    IPendingSum BeginAllReduce(Tensor buffer, HalfSum? half = null) => AtOnce(AllReduce, buffer, half);

    /// <summary>As <see cref="BeginAllReduce"/>, of a <see cref="ReduceScatter"/>.</summary>
    IPendingSum BeginReduceScatter(Tensor buffer, HalfSum? half = null) => AtOnce(ReduceScatter, buffer, half);

    /// <summary>
    /// Breaks the call in progress and all later ones, on this rank, within a second; peers see a lost connection. Thread-safe, idempotent.
    /// </summary>
    void Abort(string reason);

    private static DoneSum AtOnce(Action<Tensor> sum, Tensor buffer, HalfSum? half)
    {
        if (half is not null) throw new NotSupportedException("it carries float32 alone");
        sum(buffer);
        return DoneSum.Instance;
    }
}

/// <summary>A way to build collectives.</summary>
public interface ICollectiveBackend : INamed
{
    /// <summary>Most ranks this backend can join; loopback: 1.</summary>
    int MaxWorldSize { get; }

    /// <summary>Opens this rank's end before it is known who the peers are, e.g. binds a port on <paramref name="host"/>.</summary>
    /// <param name="host">An address under which peers reach this machine.</param>
    /// <param name="cudaDevice">Where the rank computes; null: on the CPU.</param>
    /// <param name="tls">For what goes to other machines; null: in the clear. NCCL's own connections heed it not.</param>
    /// <exception cref="Spec.InputException">This machine lacks what the backend needs; what to do.</exception>
    /// <exception cref="CollectiveException"><paramref name="host"/> is no address of this machine.</exception>
    ICollectiveEndpoint Open(string host, int? cudaDevice = null, IPeerTls? tls = null);
}

/// <summary>One rank's end, opened and advertised but not yet connected.</summary>
public interface ICollectiveEndpoint : IDisposable
{
    /// <summary>What peers need to reach this end; travels through the rendezvous.</summary>
    string Address { get; }

    /// <summary>
    /// Connects all ranks of a generation; every rank calls it once, concurrently. Ownership of the endpoint passes to the result.
    /// </summary>
    /// <param name="addresses">Every rank's <see cref="Address"/>, by rank.</param>
    /// <exception cref="CollectiveException">
    /// A peer did not come before <paramref name="stop"/>, or belongs to another generation.
    /// </exception>
    ICollective Connect(long generation, int rank, IReadOnlyList<string> addresses, CancellationToken stop);
}

/// <summary>An operation between ranks failed; the run's generation is over for this rank.</summary>
/// <param name="peer">The rank to whom the connection broke; null where that is not known.</param>
/// <param name="mayBeGone">The peer's machine said that nobody is there: the peer has gone, or a firewall says so in its place.</param>
public sealed class CollectiveException(string message, Exception? inner = null, int? peer = null, bool mayBeGone = false)
    : Exception(message, inner)
{
    /// <summary>The rank to whom the connection broke, here or in what this was caused by; null where that is not known.</summary>
    public int? Peer => peer ?? (InnerException as CollectiveException)?.Peer;

    /// <summary>As the constructor's parameter, of this or of its cause.</summary>
    public bool PeerMayBeGone => mayBeGone || InnerException is CollectiveException { PeerMayBeGone: true };
}
