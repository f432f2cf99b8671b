using System.Text.Json;

namespace Phi3VCluster.Silo;

/// <summary>Tells whoever started the silo that it takes calls, and where.</summary>
internal static class ReadyFile
{
    public static async Task WriteAsync(string path, SiloSettings settings)
    {
        var text = JsonSerializer.Serialize(new
        {
            process_id = Environment.ProcessId,
            gateway_port = settings.GatewayPort,
            silo_port = settings.SiloPort,
            http_port = settings.HttpPort,
            node = settings.Node,
        });
        var temporary = $"{path}.{Environment.ProcessId}";
        await File.WriteAllTextAsync(temporary, text + "\n");
        File.Move(temporary, path, overwrite: true); // whoever sees it sees all of it
    }
}
