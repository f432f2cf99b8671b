using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// What NCCL does not tell its ranks: that a peer on the same machine died, that one was told to stop, that they disagree about what
/// comes next. Neighbours of a ring hold a connection; each tells the next one every operation it starts, without waiting for an answer,
/// and both when it leaves. A connection that ends without that word is a peer that is gone.
/// </summary>
/// <remarks><see cref="Look"/> belongs to one thread, <see cref="Announce"/> and <see cref="Leave"/> to another.</remarks>
internal sealed class NcclWatch : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Queue<RingOperation> _mine = new(), _theirs = new(); // announced, and not yet compared
    private readonly Neighbour _next, _previous;
    private long _operations;

    public NcclWatch(RankConnection next, RankConnection previous, int rank, int worldSize)
    {
        _next = new(next, (rank + 1) % worldSize);
        _previous = new(previous, (rank + worldSize - 1) % worldSize);
    }

    /// <summary>Tells the next rank what this one is about to do.</summary>
    /// <returns>Why it must not: null, or what is wrong with the peers.</returns>
    public string? Announce(RingOperation operation)
    {
        lock (_gate)
        {
            _operations = operation.Number;
            _mine.Enqueue(operation);
            _next.Tell(operation); // also if the peers are known to differ: they must learn it from this rank
            return Disagreement();
        }
    }

    /// <summary>Says goodbye: all that was started is done, and nothing more will come.</summary>
    public void Leave()
    {
        lock (_gate)
        {
            var goodbye = new RingOperation(default, 0, _operations, 0);
            _next.Tell(goodbye);
            _previous.Tell(goodbye);
        }
    }

    /// <summary>Waits for the neighbours to say something.</summary>
    /// <returns>Why the generation is over; null if nothing is wrong, or nothing was said in time.</returns>
    public string? Look(TimeSpan patience)
    {
        List<Socket> readable =
            [.. new[] { _next, _previous }.Where(neighbour => !neighbour.IsSilent).Select(neighbour => neighbour.Connection.Socket)];
        if (readable.Count == 0)
        {
            Thread.Sleep(patience);
            return null;
        }
        Socket.Select(readable, null, null, patience);
        lock (_gate)
        {
            // Words first: a peer that left because we disagree said so before it left.
            if (readable.Contains(_previous.Connection.Socket)) _previous.Listen(_theirs);
            if (readable.Contains(_next.Connection.Socket)) _next.Listen(_theirs);
            return Disagreement() ?? _previous.Loss ?? _next.Loss;
        }
    }

    /// <summary>Hangs up: to the neighbours this rank is gone, unless it has said goodbye. What they sent can still be read.</summary>
    public void HangUp()
    {
        _next.HangUp();
        _previous.HangUp();
    }

    public void Dispose()
    {
        _next.Connection.Dispose();
        _previous.Connection.Dispose();
    }

    private string? Disagreement()
    {
        while (_mine.Count > 0 && _theirs.Count > 0)
        {
            var (mine, theirs) = (_mine.Dequeue(), _theirs.Dequeue());
            if (mine != theirs)
                return $"rank {_previous.Rank} called {theirs}, this rank called {mine}; all ranks must make the same calls";
        }
        return _previous.Absence(_operations) ?? _next.Absence(_operations);
    }

    private sealed class Neighbour(RankConnection connection, int rank)
    {
        private readonly byte[] _arriving = new byte[RingOperation.Bytes];
        private int _arrived;
        private long? _leftAfter;

        public RankConnection Connection => connection;
        public int Rank => rank;

        /// <summary>There is nothing to listen for any more.</summary>
        public bool IsSilent { get; private set; }

        /// <summary>Why it is gone without a goodbye; null while it is not.</summary>
        public string? Loss { get; private set; }

        public string? Absence(long operations) =>
            _leftAfter < operations ? $"rank {rank} has left after {_leftAfter} operations, and this rank started another" : null;

        public void Tell(RingOperation operation)
        {
            Span<byte> bytes = stackalloc byte[RingOperation.Bytes];
            MemoryMarshal.Write(bytes, in operation);
            try
            {
                connection.Send(bytes);
            }
            catch (Exception lost) when (lost is SocketException or IOException)
            {
                // A peer that is gone is noticed by listening, where its last words are.
            }
        }

        /// <summary>Takes all that has come: with TLS some of it may be here already, where no wait at the socket sees it.</summary>
        public void Listen(Queue<RingOperation> operations)
        {
            while (Receive() is not 0 and var count)
            {
                if (count == RankConnection.Gone) return;
                _arrived += count;
                if (_arrived < RingOperation.Bytes) continue;
                _arrived = 0;
                var said = MemoryMarshal.Read<RingOperation>(_arriving);
                if (said.Kind == default) _leftAfter = said.Number;
                else operations.Enqueue(said);
            }
        }

        public void HangUp() => connection.Shutdown(SocketShutdown.Send);

        private int Receive()
        {
            var cause = "closed by the peer";
            try
            {
                var count = connection.TryReceive(_arriving.AsSpan(_arrived));
                if (count != RankConnection.Gone) return count;
            }
            catch (SocketException lost)
            {
                cause = $"{lost.SocketErrorCode}";
            }
            catch (IOException lost)
            {
                cause = lost.Message.TrimEnd('.');
            }
            IsSilent = true;
            if (_leftAfter is null) Loss = $"lost the connection to rank {rank}: {cause}";
            return RankConnection.Gone;
        }
    }
}
