using System.Net;
using System.Net.Sockets;

namespace Phi3VCluster.Training.Tests.Collectives;

/// <summary>Stands between two ends, passes on what they say, and keeps it.</summary>
internal sealed class Relay : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly MemoryStream _seen = new();

    public Relay(int to)
    {
        _listener.Start();
        new Thread(() => Pass(to)) { IsBackground = true }.Start();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Both directions' bytes, as they came.</summary>
    public byte[] Seen
    {
        get
        {
            lock (_seen) return _seen.ToArray();
        }
    }

    public void Dispose() => _listener.Dispose();

    private void Pass(int to)
    {
        try
        {
            using var from = _listener.AcceptTcpClient();
            using var onward = new TcpClient("127.0.0.1", to);
            var back = new Thread(() => Copy(onward, from)) { IsBackground = true };
            back.Start();
            Copy(from, onward);
            back.Join();
        }
        catch (SocketException)
        {
            // The test is over.
        }
    }

    private void Copy(TcpClient from, TcpClient to)
    {
        var buffer = new byte[64 << 10];
        try
        {
            while (from.GetStream().Read(buffer) is > 0 and var count)
            {
                lock (_seen) _seen.Write(buffer, 0, count);
                to.GetStream().Write(buffer, 0, count);
            }
            to.Client.Shutdown(SocketShutdown.Send);
        }
        catch (Exception ended) when (ended is IOException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // An end hung up.
        }
    }
}
