using System.Net;
using System.Net.Sockets;

namespace Phi3VCluster.Training.Collectives;

/// <summary>Listens on a free TCP port and on a Unix domain socket named by the address' key.</summary>
internal sealed class TcpEndpoint : ICollectiveEndpoint
{
    private readonly RingAddress _address;
    private readonly Socket _tcp, _local;
    private CollectiveException? _failure; // the first of the two neighbours': the other one's only follows from it

    /// <exception cref="CollectiveException"><paramref name="host"/> is no address of this machine.</exception>
    public TcpEndpoint(string host)
    {
        try
        {
            _tcp = RingSockets.Listen(new IPEndPoint(RingSockets.Resolve(host), 0), ProtocolType.Tcp);
            _address = new(host, ((IPEndPoint)_tcp.LocalEndPoint!).Port, Guid.NewGuid());
            _local = RingSockets.Listen(new UnixDomainSocketEndPoint(_address.LocalName), ProtocolType.Unspecified);
        }
        catch (SocketException refused)
        {
            _tcp?.Dispose();
            throw new CollectiveException(
                $"cannot listen on '{host}': {refused.Message}; give a name or an address of this machine.", refused);
        }
    }

    public string Address => _address.ToString();

    public ICollective Connect(long generation, int rank, IReadOnlyList<string> addresses, CancellationToken stop)
    {
        using (this) // a ring needs no further connections
        {
            return addresses.Count == 1
                ? new LoopbackCollective(generation)
                : new TcpRing(generation, rank, addresses.Count, Link());
        }

        RingLink Link()
        {
            var (next, previous) = ConnectNeighbours(generation, rank, addresses, stop);
            return new(next, previous, rank, addresses.Count);
        }
    }

    public void Dispose()
    {
        _tcp.Dispose();
        _local.Dispose();
    }

    /// <summary>Both sides at once: if every rank first waited for the next one, none would answer.</summary>
    /// <param name="generation">Must be the neighbours'.</param>
    /// <param name="rank">This one.</param>
    /// <param name="addresses">Of at least two ranks.</param>
    /// <param name="stop">Ends the wait.</param>
    /// <exception cref="CollectiveException">As <see cref="Connect"/>.</exception>
    public (Socket Next, Socket Previous) ConnectNeighbours(long generation, int rank, IReadOnlyList<string> addresses, CancellationToken stop)
    {
        var world = addresses.Count;
        var (next, previous) = ((rank + 1) % world, (rank + world - 1) % world);
        var nextAddress = RingAddress.Parse(addresses[next]);
        var greeting = RingHandshake.Of(nextAddress, generation, rank, world);
        var acceptor = new RingAcceptor([_tcp, _local], RingHandshake.Of(_address, generation, rank, world), previous);

        using var either = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Socket? Connect() => Guard(() => RingConnector.Connect(nextAddress, greeting, next, either.Token), either);
        var connecting = Task.Run(Connect, CancellationToken.None);
        var fromPrevious = Guard(() => acceptor.Accept(either.Token, stop), either);
        var toNext = connecting.GetAwaiter().GetResult();
        if (toNext is not null && fromPrevious is not null) return (toNext, fromPrevious);

        toNext?.Dispose();
        fromPrevious?.Dispose();
        throw _failure!;
    }

    private Socket? Guard(Func<Socket> work, CancellationTokenSource either)
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
