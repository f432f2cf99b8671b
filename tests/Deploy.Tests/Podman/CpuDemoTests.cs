using System.Diagnostics;
using System.Text.Json;

namespace Phi3VCluster.Deploy.Tests.Podman;

/// <summary>The pods of the overlay cpu-demo, for real, as their manifests have them: not root, their file systems read-only.</summary>
public sealed class CpuDemoTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(8), Poll = TimeSpan.FromMilliseconds(200);

    private readonly Stopwatch _clock = Stopwatch.StartNew();

    [Fact]
    public async Task A_run_survives_a_pod_that_is_killed_and_one_that_is_deleted()
    {
        await using var pods = await PodmanCluster.PrepareAsync(await Rendered.OverlayAsync("cpu-demo"));
        await pods.StartAsync("phi3v-redis");
        for (var copy = 0; copy < 2; copy++) await pods.StartAsync("phi3v-control", copy);
        var copies = new Dictionary<string, int>();
        for (var copy = 0; copy < 3; copy++) copies[await pods.StartAsync("phi3v-ranks", copy)] = copy;
        for (var copy = 0; copy < 3; copy++) await UntilReadyAsync(pods, copy);
        Tell("all pods are ready");

        var job = await pods.StartAsync("phi3v-quickstart");
        var status = await UntilAsync(pods, job, "it trains", s => s.GetProperty("step").GetInt64() > 20);
        Tell($"step {status.GetProperty("step")}");

        var killed = NodeOf(status);
        await pods.KillAsync(killed);
        Tell($"{killed} was killed");
        status = await UntilAsync(
            pods, job, "it goes on without the pod", s => Generation(s) == 2 && Step(s) > Step(status) + 20);
        Tell($"generation 2, step {Step(status)}, on {string.Join(", ", NodesOf(status))}");
        Assert.DoesNotContain(killed, NodesOf(status));

        await pods.StartAsync("phi3v-ranks", copies[killed]); // as its deployment would
        await UntilReadyAsync(pods, copies[killed]);
        Tell("its successor is ready");
        var deleted = NodeOf(status);
        await pods.DeleteAsync(deleted);
        Tell($"{deleted} was deleted");
        status = await UntilAsync(pods, job, "it goes on without the second pod", s => Generation(s) == 3 && Step(s) > Step(status) + 20);
        Tell($"generation 3, step {Step(status)}, on {string.Join(", ", NodesOf(status))}");

        var (exitCode, log) = await pods.EndOfAsync(job);
        Tell($"the job has ended\n{log}");
        Assert.True(exitCode == 0, log);
        status = await UntilAsync(pods, job, "it is done", s => s.GetProperty("state").GetString() == "done");
        Assert.Equal((status.GetProperty("total_steps").GetInt64(), 3), (Step(status), Generation(status)));
    }

    private async Task UntilReadyAsync(PodmanCluster pods, int copy)
    {
        for (; !await pods.IsReadyAsync("phi3v-ranks", copy); await Task.Delay(Poll))
            if (_clock.Elapsed > Patience) Assert.Fail($"phi3v-ranks {copy} is not ready");
    }

    private static async Task<JsonElement> UntilAsync(PodmanCluster pods, string job, string what, Func<JsonElement, bool> condition)
    {
        var last = "";
        for (var since = Stopwatch.StartNew(); since.Elapsed < Patience; await Task.Delay(Poll))
        {
            var asked = await Program.RunAsync(
                Program.Built("Client", "phi3v"), ["status", "last", "--json", "--cluster", pods.Gateway]);
            last = asked.ToString();
            if (asked.ExitCode != 0) continue; // no run yet
            var status = JsonDocument.Parse(asked.Output).RootElement;
            if (condition(status)) return status;
        }
        Assert.Fail($"not in {Patience.TotalSeconds} s: {what}; last: {last}\nthe job says: {await pods.LogOfAsync(job)}");
        return default;
    }

    private static long Step(JsonElement status) => status.GetProperty("step").GetInt64();

    private static long Generation(JsonElement status) => status.GetProperty("generation").GetInt64();

    private static string NodeOf(JsonElement status) => NodesOf(status)[^1];

    private static List<string> NodesOf(JsonElement status) =>
        [.. status.GetProperty("nodes").EnumerateArray().Select(node => node.GetProperty("node").GetString()!)];

    private void Tell(string what) => output.WriteLine($"{_clock.Elapsed.TotalSeconds,6:0.0} s  {what}");
}
