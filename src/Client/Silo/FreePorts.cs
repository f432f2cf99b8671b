using System.Net;
using System.Net.Sockets;

namespace Phi3VCluster.Client.Silo;

/// <summary>Ports of this machine that nobody listens at.</summary>
internal static class FreePorts
{
    private const int FirstForServers = 32000, EndForServers = 32768; // where Linux begins with outgoing connections

    public static bool IsFree(int port)
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

    /// <summary>
    /// A free port that the system gives to no outgoing connection: a server that is started again finds it free, and those who wait
    /// for the server cannot meet themselves at it.
    /// </summary>
    public static int OneForServers()
    {
        while (true)
        {
            var port = Random.Shared.Next(FirstForServers, EndForServers); // another command of this moment draws another
            if (IsFree(port)) return port;
        }
    }

    /// <summary>Different ones of that kind: between the choice and the silo's start no outgoing connection takes one.</summary>
    public static int[] Free(int count)
    {
        var ports = new HashSet<int>();
        while (ports.Count < count) ports.Add(OneForServers());
        return [.. ports];
    }
}
