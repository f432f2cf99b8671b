namespace Phi3VCluster.Training.Collectives;

/// <summary>A rank's end of the ring.</summary>
internal sealed class TcpEndpoint : ICollectiveEndpoint
{
    private readonly IPeerTls? _tls;
    private readonly RingDoor _door;
    private CollectiveException? _failure; // the first of the two neighbours': the other one's only follows from it

    /// <param name="host">An address of this machine.</param>
    /// <param name="tls">For peers on other machines; null: in the clear.</param>
    /// <param name="isLocalToo">See <see cref="RingDoor"/>.</param>
    /// <exception cref="CollectiveException"><paramref name="host"/> is no address of this machine.</exception>
    public TcpEndpoint(string host, IPeerTls? tls = null, bool isLocalToo = true) =>
        (_tls, _door) = (tls, new(host, tls is not null, isLocalToo));

    public string Address => _door.Address.ToString();

    public ICollective Connect(long generation, int rank, IReadOnlyList<string> addresses, CancellationToken stop)
    {
        using (this) // a ring needs no further connections
        {
            return addresses.Count == 1
                ? new LoopbackCollective(generation)
                : new BesideRing(new(generation, rank, addresses.Count, Link()));
        }

        RingLink Link()
        {
            var (next, previous) = ConnectNeighbours(generation, rank, addresses, stop);
            return new(next, previous, rank, addresses.Count);
        }
    }

    public void Dispose() => _door.Dispose();

    /// <summary>Both sides at once: if every rank first waited for the next one, none would answer.</summary>
    /// <param name="generation">Must be the neighbours'.</param>
    /// <param name="rank">This one.</param>
    /// <param name="addresses">Of at least two ranks.</param>
    /// <param name="stop">Ends the wait.</param>
    /// <exception cref="CollectiveException">As <see cref="Connect"/>.</exception>
    public (RankConnection Next, RankConnection Previous) ConnectNeighbours(
        long generation, int rank, IReadOnlyList<string> addresses, CancellationToken stop)
    {
        var world = addresses.Count;
        var (next, previous) = ((rank + 1) % world, (rank + world - 1) % world);
        var nextAddress = RingAddress.Parse(addresses[next]);
        var greeting = RingHandshake.Of(nextAddress, generation, rank, world);
        var acceptor = new RingAcceptor(_door.Listeners, RingHandshake.Of(_door.Address, generation, rank, world), previous, _tls);

        using var either = CancellationTokenSource.CreateLinkedTokenSource(stop);
        RankConnection? Connect() => Guard(() => RingConnector.Connect(nextAddress, greeting, next, _tls, either.Token), either);
        var connecting = Task.Run(Connect, CancellationToken.None);
        var fromPrevious = Guard(() => acceptor.Accept(either.Token, stop), either);
        var toNext = connecting.GetAwaiter().GetResult();
        if (toNext is not null && fromPrevious is not null) return (toNext, fromPrevious);

        toNext?.Dispose();
        fromPrevious?.Dispose();
        throw _failure!;
    }

    private RankConnection? Guard(Func<RankConnection> work, CancellationTokenSource either)
    {
        try
        {
            return work();
        }
        catch (CollectiveException failure)
        {
            Interlocked.CompareExchange(ref _failure, failure, null);
            either.Cancel();
            return null;
        }
    }
}
