using System.Text.RegularExpressions;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <content>Nobody is gone, and somebody does not keep up.</content>
public sealed partial class SurvivalTests
{
    [Fact]
    public async Task A_silo_that_is_slow_slows_the_run_and_breaks_nothing()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var (run, client) = await BeginAsync(cluster);

        await using (cluster.Slow("n2"))
        {
            var steps = Steps(run).Count;
            await Eventually.Holds(() => Steps(run).Count > steps + 20, CliSandbox.Timeout, "twenty steps with the slow one");
        }

        await EndAsync(cluster, client, run);
        Assert.All(Steps(run), step => Assert.Equal(
            (1, 3), (step.GetProperty("generation").GetInt32(), step.GetProperty("world_size").GetInt32())));
    }

    /// <summary>The rest of its process is well, and reports.</summary>
    [Fact]
    public async Task A_rank_that_hangs_is_named_and_the_run_goes_on_without_it()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var (run, client) = await BeginAsync(cluster);

        using (var hung = await FrozenThread.InAsync(cluster.Silo("n2")!.Value, "seat-"))
        {
            Assert.SkipWhen(hung is null, "this user may not attach to another process (ptrace).");
            await SeeAsync(client, run, "two train", s => s is { WorldSize: 2, Phase: "training" });
            await StepsOfAsync(run, generation: 2);
        }
        await SeeAsync(client, run, "three train again", s => s is { WorldSize: 3, Phase: "training" });

        var log = (await client.Run(run).LogAsync(0)).Lines;
        output.WriteLine(string.Join('\n', log));
        Assert.Contains(log, line => Regex.IsMatch(line, @" \(n2\) is behind: for \d+ s it has got no further than [a-z ]+ after step "));
        Assert.Contains(log, line => Regex.IsMatch(line, @" \(n2\) hangs: nothing has come of it for \d+ s, and the others wait for it"));
        await EndAsync(cluster, client, run);
    }
}
