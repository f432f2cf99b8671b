using System.Net;
using System.Net.Sockets;

namespace Phi3VCluster.Training.Collectives;

/// <summary>Where peers come in: a free TCP port, and for those of this machine a Unix domain socket named by the address' key.</summary>
internal sealed class RingDoor : IDisposable
{
    private readonly List<Socket> _listeners = [];

    /// <param name="host">An address of this machine.</param>
    /// <param name="isTls">Peers of other machines are asked for TLS.</param>
    /// <param name="isLocalToo">False takes peers of this machine for peers of another, as they are in another container.</param>
    /// <exception cref="CollectiveException"><paramref name="host"/> is no address of this machine.</exception>
    public RingDoor(string host, bool isTls, bool isLocalToo)
    {
        try
        {
            var tcp = RingSockets.Listen(new IPEndPoint(RingSockets.Resolve(host), 0), ProtocolType.Tcp);
            _listeners.Add(tcp);
            Address = new(host, ((IPEndPoint)tcp.LocalEndPoint!).Port, Guid.NewGuid(), isTls);
            if (isLocalToo)
                _listeners.Add(RingSockets.Listen(new UnixDomainSocketEndPoint(Address.LocalName), ProtocolType.Unspecified));
        }
        catch (SocketException refused)
        {
            Dispose();
            throw new CollectiveException(
                $"cannot listen on '{host}': {refused.Message}; give a name or an address of this machine.", refused);
        }
    }

    public RingAddress Address { get; }

    public IReadOnlyList<Socket> Listeners => _listeners;

    public void Dispose() => _listeners.ForEach(listener => listener.Dispose());
}
