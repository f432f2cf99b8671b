using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Tests.Processes;

/// <summary>Two nodes that are processes and train for real, and are never ready at the same moment.</summary>
public sealed class TwoNodesTests : IDisposable
{
    private static readonly TimeSpan Frozen = TimeSpan.FromSeconds(3);

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-").FullName;

    public static TheoryData<int> Seeds() => [1, 2, 3];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Which node is warm, which one freezes and when, and how late the second one starts, is drawn from the seed.</summary>
    [Theory, MemberData(nameof(Seeds))]
    public async Task Seats_that_are_ready_seconds_apart_train_together(int seed)
    {
        var random = new Random(seed);
        await using var redis = await RedisProcess.StartAsync(_folder);
        await using var first = await SiloProcess.StartAsync(_folder, "--redis", redis.Address, "--node", "n1");
        using var client = await SiloClient.ConnectAsync(first.Ready);
        var tiny = new TinyRuns(_folder);
        await EndAsync(client.Run(await TinyRuns.SubmitAsync(client.Front(), tiny.Spec(ranks: 2)))); // n1 has libtorch loaded from here on

        var run = await TinyRuns.SubmitAsync(client.Front(), tiny.Spec(ranks: 4, epochs: 2)); // waits for the node that is late
        await Task.Delay(random.Next(1500));
        await using var second = await SiloProcess.StartAsync(_folder, "--redis", redis.Address, "--node", "n2");
        if (seed > 1)
        {
            await Eventually.SeeAsync("the seats gather", () => client.Run(run).StatusAsync(), s => s.State == RunState.Running);
            await Task.Delay(random.Next(600));
            await (random.Next(2) == 0 ? first : second).FreezeAsync(Frozen);
        }

        var done = await EndAsync(client.Run(run));
        Assert.Equal((4, 4L, 1L), (done.WorldSize, done.Step, done.Generation));
        Assert.Equal(["n1", "n2"], done.Nodes.Select(n => n.Node).Order());
        await Eventually.SeeAsync("all ranks are free again", client.Front().NodesAsync, nodes => nodes.All(n => n.Free == 2));
    }

    private static async Task<RunStatus> EndAsync(IRunGrain run)
    {
        var end = await Eventually.SeeAsync("the run ends", run.StatusAsync, s => s.IsFinal);
        Assert.True(end.State == RunState.Done, $"{end.State}: {end.Error}");
        return end;
    }
}
