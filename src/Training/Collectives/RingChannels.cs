namespace Phi3VCluster.Training.Collectives;

/// <summary>Channels over the ring's sockets and with its handshake: TCP across hosts, a Unix domain socket within one.</summary>
internal sealed class RingChannels : IPeerEndpoint
{
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromSeconds(10);

    private readonly IPeerTls? _tls;
    private readonly RingDoor _door;
    private readonly RingAcceptor _acceptor;

    /// <param name="host">An address of this machine.</param>
    /// <param name="tls">For peers on other machines; null: in the clear.</param>
    /// <param name="isLocalToo">See <see cref="RingDoor"/>.</param>
    /// <exception cref="CollectiveException"><paramref name="host"/> is no address of this machine.</exception>
    public RingChannels(string host, IPeerTls? tls = null, bool isLocalToo = true)
    {
        (_tls, _door) = (tls, new(host, tls is not null, isLocalToo));
        _acceptor = new(_door.Listeners, Greeting(_door.Address), peer: 0, tls);
    }

    public string Address => _door.Address.ToString();

    public IPeerChannel Accept(CancellationToken stop)
    {
        try
        {
            return new RingChannel(_acceptor.Accept(stop, stop));
        }
        catch (CollectiveException) when (stop.IsCancellationRequested)
        {
            throw new OperationCanceledException(stop);
        }
    }

    public IPeerChannel Connect(string address, CancellationToken stop) => Go(address, _tls, stop);

    /// <summary>As <see cref="IPeerEndpoint.Connect"/>, without an end of one's own.</summary>
    /// <param name="address">Of another end.</param>
    /// <param name="tls">For one on another machine; null: in the clear.</param>
    /// <param name="stop">Ends the wait for an answer.</param>
    /// <exception cref="IOException">Nobody of that address answers; why is in the inner exception.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> came first.</exception>
    public static IPeerChannel Go(string address, IPeerTls? tls, CancellationToken stop)
    {
        using var late = CancellationTokenSource.CreateLinkedTokenSource(stop);
        late.CancelAfter(AnswerPatience);
        try
        {
            var to = RingAddress.Parse(address);
            return new RingChannel(RingConnector.Connect(to, Greeting(to), peer: 0, tls, late.Token));
        }
        catch (CollectiveException lost)
        {
            stop.ThrowIfCancellationRequested();
            throw new IOException(lost.Message, lost);
        }
    }

    public void Dispose() => _door.Dispose();

    /// <summary>Of both ends: a channel belongs to no generation and no rank, only the key tells who was sent here.</summary>
    private static RingHandshake Greeting(RingAddress acceptor) => RingHandshake.Of(acceptor, generation: 0, rank: 0, worldSize: 0);
}
