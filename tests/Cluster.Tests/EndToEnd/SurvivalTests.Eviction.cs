using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <content>A machine is to be taken away, as its provider says some seconds ahead.</content>
public sealed partial class SurvivalTests
{
    [Fact]
    public async Task A_machine_that_is_told_to_go_is_left_in_time_and_used_again_when_it_stays()
    {
        using var metadata = new FakeMetadata();
        _cli.Set("PHI3V_SCHEDULED_EVENTS", metadata.Address);
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var (run, client) = await BeginAsync(cluster);

        metadata.Tell("Preempt", "vm-1", notice: TimeSpan.FromSeconds(30));
        await SeeAsync(client, run, "two train", s => s is { WorldSize: 2, Phase: "training" });
        await cluster.SeeNodesAsync("one node stops, and is empty", nodes =>
            nodes.Count(n => n is { State: NodeState.Stopping, Free: 1 }) == 1 && nodes.Count(n => n.State == NodeState.Ready) == 2);

        metadata.TellNothing();
        await SeeAsync(client, run, "three train again", s => s is { WorldSize: 3, Phase: "training" });

        var log = (await client.Run(run).LogAsync(0)).Lines;
        Assert.DoesNotContain(log, line => line.Contains("was lost") || line.Contains("broke off"));
        Assert.Empty(metadata.Refused);
        await EndAsync(cluster, client, run);
    }
}
