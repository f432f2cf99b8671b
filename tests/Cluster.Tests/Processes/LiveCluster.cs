using System.Text.Json;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>A cluster that <c>phi3v up</c> started in a sandbox; ended at the latest with the sandbox.</summary>
public sealed class LiveCluster
{
    private readonly CliSandbox _cli;

    private LiveCluster(CliSandbox cli, FreePorts ports, int processId) => (_cli, Ports, ProcessId) = (cli, ports, processId);

    public FreePorts Ports { get; }

    public int ProcessId { get; }

    public static async Task<LiveCluster> UpAsync(CliSandbox cli, int ranks, params string[] options)
    {
        var ports = FreePorts.Take();
        var up = await cli.JsonAsync(0, ["up", "--ranks", $"{ranks}", .. ports.Options, .. options]);
        return new(cli, ports, up.GetProperty("process_id").GetInt32());
    }

    /// <returns>The run's id.</returns>
    public async Task<string> SubmitAsync(string spec)
    {
        var submitted = await _cli.JsonAsync(0, "submit", spec);
        Assert.Equal("queued", submitted.GetProperty("state").GetString());
        return submitted.GetProperty("run").GetString()!;
    }

    public async Task<JsonElement> UntilAsync(string run, Func<JsonElement, bool> condition, string what)
    {
        var status = default(JsonElement);
        await Eventually.Holds(async () => condition(status = await _cli.JsonAsync(0, "status", run)), CliSandbox.Timeout,
            () => $"{what}; the last status is {status}");
        return status;
    }

    /// <summary>One command that stays with the run, instead of many that ask.</summary>
    public async Task<JsonElement> UntilEndAsync(string run, string state)
    {
        var ended = await _cli.JsonAsync(state == "done" ? 0 : 1, "watch", run);
        Assert.True(state == ended.GetProperty("state").GetString(), $"{state} was expected of {ended}");
        return ended;
    }

    public async Task DownAsync(params string[] options)
    {
        await _cli.JsonAsync(0, ["down", .. options]);
        Assert.Empty(_cli.Processes());
    }
}
