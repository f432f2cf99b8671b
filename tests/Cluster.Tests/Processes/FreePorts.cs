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

    /// <summary>The first ports of so many silos: each takes the next of each kind.</summary>
    public static FreePorts TakeFor(int silos) => new(Run(silos), Run(silos), Run(silos));

    public static int One()
    {
        while (true)
        {
            var port = Random.Shared.Next(First, End); // another run of the tests on this machine draws others
            if (IsFree(port) && Given.TryAdd(port, true)) return port;
        }
    }

    private static int Run(int count)
    {
        while (true)
        {
            var ports = Enumerable.Range(Random.Shared.Next(First, End - count), count).ToArray();
            if (ports.All(IsFree) && ports.All(port => Given.TryAdd(port, true))) return ports[0];
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
