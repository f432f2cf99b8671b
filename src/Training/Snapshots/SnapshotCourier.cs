using System.Collections.Concurrent;

namespace Phi3VCluster.Training.Snapshots;

/// <summary>
/// Carries parts of a run's state between the books of its seats, on sockets and threads of its own: gives what is asked for, takes what
/// others send it to keep, and brings this seat's snapshots to its buddy. Nothing of it is on the rank's thread but <see cref="Ask"/>.
/// </summary>
public sealed class SnapshotCourier : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(500);

    private readonly IPeerEndpoint _endpoint;
    private readonly SnapshotBook _book;
    private readonly long _mostElements;
    private readonly BlockingCollection<Errand> _errands = [];
    private readonly OwnedThreads _threads = new();
    private volatile Errand? _newest;
    private volatile Errand? _delivered;

    /// <param name="endpoint">Owned from here on.</param>
    /// <param name="book">Must outlive the courier.</param>
    /// <param name="mostElements">Larger parts are nobody's.</param>
    public SnapshotCourier(IPeerEndpoint endpoint, SnapshotBook book, long mostElements)
    {
        (_endpoint, _book, _mostElements) = (endpoint, book, mostElements);
        _threads.Start("courier-accept", Accept);
        _threads.Start("courier", Deliver);
    }

    /// <summary>Where others find this seat's book.</summary>
    public string Address => _endpoint.Address;

    /// <summary>
    /// The newest of the own snapshots that its buddy has stored, of those that were sent since the last <see cref="Rest"/>.
    /// </summary>
    public StateVersion? Stored => _delivered?.Version;

    /// <summary>Has a part that the book holds brought to a buddy, after those before it; tried again until it is there.</summary>
    public void Send(string buddy, StateVersion version, int rank, int worldSize) =>
        _errands.Add(_newest = new(buddy, version, rank, worldSize));

    /// <summary>What has not been brought need not be any more.</summary>
    public void Rest() => _newest = _delivered = null;

    /// <summary>A conversation with another seat's courier, for the calling thread.</summary>
    /// <exception cref="IOException">Nobody answers there.</exception>
    public CourierConversation Ask(string address, CancellationToken stop) => new(_endpoint.Connect(address, stop), stop);

    public void Dispose()
    {
        _threads.Dispose();
        _endpoint.Dispose();
    }

    private void Accept()
    {
        while (true)
        {
            var peer = _endpoint.Accept(_threads.Stop);
            _threads.Start("courier-peer", () => Serve(peer));
        }
    }

    private void Serve(IPeerChannel peer)
    {
        using (peer)
        {
            var buffer = new byte[CourierMessage.ChunkElements * sizeof(float)];
            try
            {
                while (true) Answer(peer, CourierMessage.Receive(peer, _threads.Stop), buffer);
            }
            catch (Exception error) when (error is IOException or OutOfMemoryException)
            {
                // it has what it wanted, or is gone
            }
        }
    }

    private void Answer(IPeerChannel peer, CourierMessage asked, byte[] buffer)
    {
        switch (asked.Verb)
        {
            case CourierVerb.Put when asked.Count >= 0 && asked.Count <= _mostElements:
                Reply(Take(peer, asked) ? CourierVerb.Done : CourierVerb.Refused, 0);
                break;
            case CourierVerb.Get when _book.ElementsOf(asked.Version, asked.Rank) is { } elements
                && asked is { Offset: >= 0, Count: > 0 } && asked.Count <= elements - asked.Offset:
                Reply(CourierVerb.Done, asked.Count);
                SendPart(peer, asked, buffer);
                break;
            case CourierVerb.Metadata when _book.MetadataOf(asked.Version) is { } metadata:
                var packed = CourierMessage.Pack(metadata);
                Reply(CourierVerb.Done, packed.Length);
                peer.Send(packed, _threads.Stop);
                break;
            case CourierVerb.Get or CourierVerb.Metadata:
                Reply(CourierVerb.Refused, 0);
                break;
            default:
                throw new IOException($"no courier says {asked}");
        }

        void Reply(CourierVerb verb, long count) => (asked with { Verb = verb, Count = count }).Send(peer, _threads.Stop);
    }

    private bool Take(IPeerChannel peer, CourierMessage put)
    {
        var memory = _book.Rent(put.Count);
        try
        {
            for (var part = 0; part < ShardMemory.Parts; part++)
                foreach (var (offset, count) in CourierMessage.Chunks(put.Count))
                    peer.Receive(memory.Of(part, offset, count), _threads.Stop);
        }
        catch
        {
            _book.GiveBack(memory); // half of it is nothing
            throw;
        }
        return _book.Keep(put.Version, put.Rank, put.WorldSize, memory);
    }

    /// <exception cref="IOException">It was dropped meanwhile; the other side sees a connection that ends.</exception>
    private void SendPart(IPeerChannel peer, CourierMessage of, byte[] buffer)
    {
        for (var part = 0; part < ShardMemory.Parts; part++)
        {
            foreach (var (offset, count) in CourierMessage.Chunks(of.Count))
            {
                var chunk = buffer.AsSpan(0, count * sizeof(float));
                if (!_book.TryCopy(of.Version, of.Rank, part, of.Offset + offset, chunk))
                    throw new IOException($"{of.Version} is held no more");
                peer.Send(chunk, _threads.Stop);
            }
        }
    }

    /// <summary>The courier's own way: one errand after the other, over one connection as long as they go to one buddy.</summary>
    private void Deliver()
    {
        IPeerChannel? way = null;
        var (to, buffer) = ("", new byte[CourierMessage.ChunkElements * sizeof(float)]);
        try
        {
            foreach (var errand in _errands.GetConsumingEnumerable(_threads.Stop))
            {
                while (ReferenceEquals(_newest, errand))
                {
                    try
                    {
                        if (way is null || to != errand.Buddy)
                        {
                            way?.Dispose();
                            way = null;
                            (way, to) = (_endpoint.Connect(errand.Buddy, _threads.Stop), errand.Buddy);
                        }
                        if (!Bring(way, errand, buffer)) break;
                        if (ReferenceEquals(_newest, errand)) _delivered = errand;
                        break;
                    }
                    catch (IOException)
                    {
                        way?.Dispose();
                        way = null;
                        _threads.Stop.WaitHandle.WaitOne(Pause);
                    }
                }
            }
        }
        finally
        {
            way?.Dispose();
        }
    }

    /// <returns>False where the part is dropped, or the buddy is of a later generation.</returns>
    private bool Bring(IPeerChannel way, Errand errand, byte[] buffer)
    {
        if (_book.ElementsOf(errand.Version, errand.Rank) is not { } elements) return false;
        var put = CourierMessage.Of(CourierVerb.Put, errand.Version, errand.Rank, errand.WorldSize, 0, elements);
        put.Send(way, _threads.Stop);
        SendPart(way, put, buffer);
        return CourierMessage.Receive(way, _threads.Stop).Verb == CourierVerb.Done;
    }

    private sealed record Errand(string Buddy, StateVersion Version, int Rank, int WorldSize);
}
