using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans;
using Orleans.Runtime;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Tests.Processes;

/// <summary>Silos that carry coordinators and no ranks, and the other way round.</summary>
public sealed class SiloRoleTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Coordinators_are_where_the_ranks_are_not_and_a_run_survives_the_loss_of_its_coordinator()
    {
        await using var redis = await RedisProcess.StartAsync(_folder);
        await using var control = await SiloProcess.StartBareAsync(
            _folder, "--redis", redis.Address, "--node", "c1", "--role", "control");
        await using var ranks = await SiloProcess.StartAsync(_folder, "--redis", redis.Address, "--node", "n1", "--role", "ranks");
        using var client = await SiloClient.ConnectAsync(ranks.Ready); // any gateway leads to the coordinators
        var nodes = await Eventually.SeeAsync("both nodes are there", client.Front().NodesAsync, all => all.Count == 2);
        Assert.Equal([("c1", 0, "none"), ("n1", 2, "cpu")], nodes.Select(n => (n.Node, n.Ranks, n.Device)));

        var run = await TinyRuns.SubmitAsync(client.Front(), new TinyRuns(_folder).Spec(ranks: 2, epochs: 100_000));
        await UntilStepAsync(client.Run(run), 1);
        Assert.Equal(["c1"], await NodesOfCoordinatorsAsync(client, nodes));

        control.Kill();
        await control.ExitAsync();
        await using var next = await SiloProcess.StartBareAsync(_folder, "--redis", redis.Address, "--node", "c2", "--role", "control");
        using var later = await SiloClient.ConnectAsync(next.Ready);
        var status = await AskAsync(later.Run(run));
        Assert.Equal((RunState.Running, 1L), (status.State, status.Generation)); // nobody has told the ranks to stop
        await UntilStepAsync(later.Run(run), status.Step + 1);
        Assert.Equal(["c2"], await NodesOfCoordinatorsAsync(later, await later.Front().NodesAsync()));
        await later.Run(run).CancelAsync();
        await Eventually.SeeAsync("the run ends", () => AskAsync(later.Run(run)), s => s.State == RunState.Cancelled);
    }

    [Fact]
    public async Task A_silo_of_ranks_lives_and_is_not_ready_until_somebody_carries_the_coordinators()
    {
        await using var redis = await RedisProcess.StartAsync(_folder);
        var port = FreePort();
        await using var ranks = SiloProcess.Begin(_folder, "--redis", redis.Address, "--node", "n1", "--role", "ranks",
            "--gateway-port", "0", "--silo-port", "0", "--http-port", $"{port}");
        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
        await Eventually.SeeAsync("the silo lives", () => StatusAsync(http, "/health/live"), code => code == HttpStatusCode.OK);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await StatusAsync(http, "/health/ready"));

        await using var control = await SiloProcess.StartBareAsync(
            _folder, "--redis", redis.Address, "--node", "c1", "--role", "control");

        await Eventually.SeeAsync("the silo is ready", () => StatusAsync(http, "/health/ready"), code => code == HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_control_silo_that_is_told_to_stop_ends_by_itself()
    {
        await using var redis = await RedisProcess.StartAsync(_folder);
        await using var control = await SiloProcess.StartBareAsync(
            _folder, "--redis", redis.Address, "--node", "c1", "--role", "control");

        control.Terminate();

        var exitCode = await control.ExitAsync();
        Assert.True(exitCode == 0, $"exit code {exitCode}: {control.Errors}");
    }

    private static Task<RunStatus> UntilStepAsync(IRunGrain run, long step) =>
        Eventually.SeeAsync($"step {step}", () => AskAsync(run), s => s.Step >= step);

    /// <summary>The cluster takes a moment to see that a coordinator's silo is gone.</summary>
    private static async Task<RunStatus> AskAsync(IRunGrain run)
    {
        var answer = await Eventually.SeeAsync<RunStatus?>("the coordinator answers", async () =>
        {
            try
            {
                return await run.StatusAsync();
            }
            catch (Exception e) when (e is OrleansException or TimeoutException)
            {
                return null;
            }
        }, status => status is not null);
        return answer!;
    }

    private static async Task<IReadOnlyList<string>> NodesOfCoordinatorsAsync(IHost client, IReadOnlyList<NodeInfo> nodes)
    {
        var management = client.Services.GetRequiredService<IGrainFactory>().GetGrain<IManagementGrain>(0);
        var activations = await management.GetDetailedGrainStatistics();
        var coordinators = activations.Where(a => a.GrainId.Type.ToString() is "cluster" or "run").ToList();
        Assert.Equal(2, coordinators.Count);
        return [.. coordinators.Select(a => nodes.Single(n => n.Silo == a.SiloAddress.ToParsableString()).Node).Distinct()];
    }

    private static async Task<HttpStatusCode?> StatusAsync(HttpClient http, string path)
    {
        try
        {
            using var answer = await http.GetAsync(path);
            return answer.StatusCode;
        }
        catch (HttpRequestException) // it does not listen yet
        {
            return null;
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
