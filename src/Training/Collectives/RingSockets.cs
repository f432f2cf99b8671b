using System.Net;
using System.Net.Sockets;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// The sockets of a ring, set up alike. Never used with async calls: those register a socket with .NET's event thread, which then
/// wakes for every packet and takes a core's time from the ranks.
/// </summary>
internal static class RingSockets
{
    public static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(20);

    /// <summary>Ranks that share cores take turns: the more fits, the fewer turns. The kernel may allow less.</summary>
    private const int LocalBufferBytes = 1 << 20;

    private const int Backlog = 64, KeepAliveSeconds = 5, KeepAliveProbeSeconds = 2, KeepAliveProbes = 3;

    /// <summary>Linux's TCP_USER_TIMEOUT: what was sent and is not acknowledged for so long ends the connection.</summary>
    private const int TcpUserTimeout = 18, TcpLevel = 6, UserTimeoutMilliseconds = 5000;

    public static Socket Listen(EndPoint at, ProtocolType protocol)
    {
        var socket = new Socket(at.AddressFamily, SocketType.Stream, protocol);
        try
        {
            socket.Bind(at);
            socket.Listen(Backlog);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <exception cref="SocketException">Refused, unreachable, or no such host.</exception>
    /// <exception cref="OperationCanceledException">
    /// <paramref name="stop"/> came first: a host that is gone answers nothing for minutes.
    /// </exception>
    public static Socket ConnectTcp(string host, int port, CancellationToken stop)
    {
        var at = new IPEndPoint(Resolve(host), port);
        var socket = Tune(new Socket(at.AddressFamily, SocketType.Stream, ProtocolType.Tcp));
        try
        {
            socket.Blocking = false;
            try
            {
                socket.Connect(at);
            }
            catch (SocketException pending) when (pending.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
            {
                while (!socket.Poll(PollInterval, SelectMode.SelectWrite)) stop.ThrowIfCancellationRequested();
                var outcome = (int)socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)!;
                if (outcome != 0) throw new SocketException(outcome);
            }
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <returns>Null if nobody of that name listens on this host.</returns>
    public static Socket? TryConnectLocal(string name)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(name));
            return Tune(socket);
        }
        catch (SocketException)
        {
            socket.Dispose();
            return null;
        }
    }

    /// <summary>Whether it is the way to a peer that failed, and not the peer that went.</summary>
    public static bool IsNetworks(SocketError error) => error is SocketError.TimedOut or SocketError.HostUnreachable
        or SocketError.NetworkUnreachable or SocketError.NetworkDown or SocketError.HostDown;

    /// <summary>Small messages at once, and a peer without power noticed within seconds. Returns the socket.</summary>
    public static Socket Tune(Socket socket)
    {
        if (socket.AddressFamily == AddressFamily.Unix)
        {
            socket.SendBufferSize = LocalBufferBytes;
            return socket; // TCP's buffers grow by themselves, but only if nobody sets them
        }
        socket.NoDelay = true;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true); // a host without power sends no goodbye
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, KeepAliveSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, KeepAliveProbeSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, KeepAliveProbes);
        if (OperatingSystem.IsLinux()) socket.SetRawSocketOption(TcpLevel, TcpUserTimeout, BitConverter.GetBytes(UserTimeoutMilliseconds));
        return socket;
    }

    /// <summary>The host's first IPv4 address, or else its first.</summary>
    /// <exception cref="SocketException">No such host.</exception>
    public static IPAddress Resolve(string host) =>
        Dns.GetHostAddresses(host).OrderBy(address => address.AddressFamily != AddressFamily.InterNetwork).FirstOrDefault()
            ?? throw new SocketException((int)SocketError.HostNotFound);
}
