using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Silo;

/// <summary>Finds out before anything starts whether the silo's ports can be had.</summary>
internal static class SiloPorts
{
    /// <summary>Whether a start failed since another program has taken a port after it was found free.</summary>
    public static bool WasTaken(Exception error) =>
        error is AddressInUseException or SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse }
        || (error.InnerException is { } inner && WasTaken(inner));

    /// <returns>The settings with every 0 replaced by a free port.</returns>
    /// <exception cref="InputException">Ports that are in use; all of them.</exception>
    public static SiloSettings Claim(SiloSettings settings)
    {
        var problems = new List<string>();
        var held = new List<TcpListener>(); // all at once, so that no two of ours get the same free port
        try
        {
            var claimed = settings with
            {
                GatewayPort = Hold("--gateway-port", settings.GatewayPort),
                SiloPort = Hold("--silo-port", settings.SiloPort),
                HttpPort = Hold("--http-port", settings.HttpPort),
            };
            return problems.Count == 0 ? claimed : throw new InputException(problems);
        }
        finally
        {
            foreach (var listener in held) listener.Dispose();
        }

        int Hold(string option, int port)
        {
            var listener = new TcpListener(settings.Listen, port);
            try
            {
                listener.Start();
                held.Add(listener);
                return ((IPEndPoint)listener.LocalEndpoint).Port;
            }
            catch (SocketException e)
            {
                listener.Dispose();
                problems.Add(e.SocketErrorCode == SocketError.AddressAlreadyInUse
                    ? $"{option}: port {port} is in use; stop what uses it, or choose another, 0 for any free one."
                    : $"{option}: port {port} cannot be opened, got: {e.Message}; choose another, 0 for any free one.");
                return port;
            }
        }
    }
}
