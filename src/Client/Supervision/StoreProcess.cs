using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Supervision;

/// <summary>Starts the store that several silos share.</summary>
internal static class StoreProcess
{
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromSeconds(60); // on a busy machine

    public static string DataFolder => Path.Combine(UpState.Home, "store");

    /// <exception cref="CommandFailedException">It ended at its start.</exception>
    public static Task<Process> StartAsync(int port, string logFile, CancellationToken interrupted)
    {
        var readyFile = Path.Combine(DataFolder, "ready.json");
        string[] arguments = ["--port", port.ToString(CultureInfo.InvariantCulture), "--data", DataFolder, "--ready-file", readyFile];
        return new BackgroundProgram("the store", Executable.Store.Find(), arguments, readyFile, logFile, UntilStdinCloses: true,
            ReadyDeadline).StartAsync(interrupted);
    }

    /// <summary>No silo runs: those that an earlier cluster left in the table were killed. New ones would wait to hear from them.</summary>
    public static async Task ForgetMembersAsync(int port, CancellationToken interrupted)
    {
        using var client = new TcpClient("127.0.0.1", port);
        var key = $"{GrainKeys.ServiceId}/members/{GrainKeys.ClusterId}"; // Orleans' name for it
        var question = $"*2\r\n$3\r\nDEL\r\n${key.Length}\r\n{key}\r\n";
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(question), interrupted);
        using var answer = new StreamReader(client.GetStream());
        if (await answer.ReadLineAsync(interrupted) is not [':', ..] and var other)
            throw new CommandFailedException($"the store did not forget the nodes of an earlier cluster, it said: {other}");
    }
}
