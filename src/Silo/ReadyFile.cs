using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Silo;

/// <summary>Tells whoever started the silo that it takes calls, and where.</summary>
internal static class ReadyFile
{
    public static void Write(string path, SiloSettings settings) => AtomicFile.Write(path, JsonSerializer.Serialize(new
    {
        process_id = Environment.ProcessId,
        gateway_port = settings.GatewayPort,
        silo_port = settings.SiloPort,
        http_port = settings.HttpPort,
        node = settings.Node,
    }) + "\n");
}
