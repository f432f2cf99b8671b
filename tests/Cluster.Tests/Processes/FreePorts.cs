using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>
/// Ports for a silo of a test. From below the range that the system gives to outgoing connections, and none twice: another test's
/// connection cannot take one before the silo does.
/// </summary>
public sealed record FreePorts(int Gateway, int Silo, int Http)
{
    private const int First = 12000, End = 32000;

    private static readonly ConcurrentDictionary<int, bool> Given = new();

    public string[] Options => ["--gateway-port", $"{Gateway}", "--silo-port", $"{Silo}", "--http-port", $"{Http}"];

    public static FreePorts Take() => new(One(), One(), One());

    public static int One()
    {
        while (true)
        {
            var port = Random.Shared.Next(First, End); // another run of the tests on this machine draws others
            if (IsFree(port) && Given.TryAdd(port, true)) return port;
        }
    }

    private static bool IsFree(int port)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Any, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
