using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Silo.Http;

namespace Phi3VCluster.Page.Tests.Live;

/// <summary>The API of a silo that is a process, on this machine and without a token.</summary>
public sealed class ApiTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_run_is_told_as_the_CLI_tells_it_and_its_files_as_they_are()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 1, ranks: 2);
        using var silo = SiloHttp.Of(cluster);
        Assert.Equal(0, (await silo.GetAsync("api/v1/runs")).GetArrayLength());
        var submitted = await _cli.RunAsync("submit", new TinyRun(_cli).Spec(), "--wait");
        Assert.Equal(0, submitted.ExitCode);
        var row = Assert.Single((await silo.GetAsync("api/v1/runs")).EnumerateArray());
        var run = row.GetProperty("run").GetString()!;
        Assert.Contains($"page: http://127.0.0.1:{silo.Port}/#/runs/{run}", submitted.Stdout);

        Assert.True(JsonElement.DeepEquals((await _cli.JsonAsync(0, "runs"))[0], row));
        Assert.True(JsonElement.DeepEquals(row, await silo.GetAsync($"api/v1/runs/{run}")));
        Assert.True(JsonElement.DeepEquals(await _cli.JsonAsync(0, "nodes"), await silo.GetAsync("api/v1/nodes")));
        Assert.True(JsonElement.DeepEquals(await _cli.JsonAsync(0, "logs", run), await silo.GetAsync($"api/v1/runs/{run}/log")));
        await StepsAreThoseOfTheFile(silo, run);
        await PredictionsAreThoseOfTheFiles(silo, run);
        await PagesAreTheSpecsAndNoOthers(silo, run);
        await cluster.DownAsync();
    }

    private async Task StepsAreThoseOfTheFile(SiloHttp silo, string run)
    {
        var lines = TinyRun.Lines(Path.Combine(_cli.At("output"), run, "steps.jsonl"));
        var series = await silo.GetAsync($"api/v1/runs/{run}/steps");
        foreach (var column in (string[])["step", "loss", "learning_rate", "grad_norm", "generation"])
            Assert.Equal(lines.Select(line => line.GetProperty(column).GetRawText()),
                series.GetProperty(column).EnumerateArray().Select(value => value.GetRawText()));
        var rest = await silo.GetAsync($"api/v1/runs/{run}/steps?from={lines.Count}");
        Assert.Equal((1, lines.Count + 1), (rest.GetProperty("step").GetArrayLength(), rest.GetProperty("next").GetInt32()));
    }

    private async Task PredictionsAreThoseOfTheFiles(SiloHttp silo, string run)
    {
        var (before, after) = (Evaluation(run, "eval-before.json"), Evaluation(run, "eval-after.json"));
        var reply = await silo.GetAsync($"api/v1/runs/{run}/predictions?from=1&count=2");
        Assert.Equal(after.GetProperty("value").GetDouble(), reply.GetProperty("eval_after").GetDouble());
        Assert.Equal(before.GetProperty("value").GetDouble(), reply.GetProperty("eval_before").GetDouble());
        Assert.Equal(TinyRun.EvalPages, reply.GetProperty("total").GetInt32());
        var samples = reply.GetProperty("samples").EnumerateArray().ToList();
        Assert.Equal([1, 2], samples.Select(s => s.GetProperty("index").GetInt32()));
        foreach (var (sample, expected) in samples.Zip(after.GetProperty("predictions").EnumerateArray().Skip(1)))
        {
            Assert.Equal(expected.GetProperty("id").GetString(), sample.GetProperty("id").GetString());
            Assert.Equal(expected.GetProperty("prediction").GetString(), sample.GetProperty("after").GetProperty("prediction").GetString());
            Assert.Equal(expected.GetProperty("loss").GetDouble(), sample.GetProperty("after").GetProperty("loss").GetDouble());
        }
    }

    private async Task PagesAreTheSpecsAndNoOthers(SiloHttp silo, string run)
    {
        var sample = await silo.GetAsync($"api/v1/runs/{run}/samples/2");
        Assert.Equal(("eval-0002", 1), (sample.GetProperty("id").GetString(), sample.GetProperty("images").GetInt32()));
        var page = _cli.At("files/eval/page-0002.png");
        Assert.Equal(File.ReadAllBytes(page), await silo.BytesAsync($"api/v1/runs/{run}/samples/2/images/0"));

        foreach (var path in (string[])
            [$"runs/{run}/samples/2/images/1", $"runs/{run}/samples/99/images/0", $"runs/{run}/samples/-1/images/0",
                $"runs/{run}/samples/..%2F..%2Frun.yaml/images/0", $"runs/{run}/samples/2/images/..%2F..%2F..%2Fetc%2Fpasswd",
                $"runs/{run}/run.yaml", $"runs/{run}/samples/2/images/%2Fetc%2Fpasswd", "runs/..%2F..%2Fetc%2Fpasswd/steps",
                $"runs/{new string('x', 5000)}", "runs/nobody"])
            Assert.Equal(404, await silo.StatusAsync(HttpMethod.Get, $"api/v1/{path}"));

        Assert.Equal(400, await silo.StatusAsync(HttpMethod.Get, "api/v1/runs/a%00b"));

        // A data file of a stranger's names a page elsewhere: it trains, but is not shown to callers.
        File.Move(page, _cli.At("elsewhere.png"));
        File.CreateSymbolicLink(page, _cli.At("elsewhere.png"));
        Assert.Equal(403, await silo.StatusAsync(HttpMethod.Get, $"api/v1/runs/{run}/samples/2/images/0"));
        File.Delete(page);
        File.WriteAllText(page, "<script>alert(1)</script>");
        Assert.Equal(415, await silo.StatusAsync(HttpMethod.Get, $"api/v1/runs/{run}/samples/2/images/0"));
    }

    [Fact]
    public async Task Runs_are_cancelled_and_nodes_drained_as_the_queue_tells()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 2);
        using var silo = SiloHttp.Of(cluster);
        await cluster.SeeReadyAsync("n1", "n2");
        var spec = new TinyRun(_cli).EndlessSpec(ranks: 2);
        var (first, second, third) = (await SubmitAsync(spec), await SubmitAsync(spec), await SubmitAsync(spec));
        await SeeAsync(silo, first, "running");

        var queue = (await silo.GetAsync("api/v1/queue")).EnumerateArray().ToList();
        Assert.Equal([(0, second), (1, third)], queue.Select(q => (q.GetProperty("ahead").GetInt32(), q.GetProperty("run").GetString()!)));
        Assert.All(queue, q => Assert.NotEqual("", q.GetProperty("waiting_for").GetString()));

        foreach (var run in (string[])[third, second, first])
        {
            Assert.Equal(403, await silo.StatusAsync(HttpMethod.Post, $"api/v1/runs/{run}/cancel")); // as a page of another site would
            Assert.Equal(200, await silo.StatusAsync(HttpMethod.Post, $"api/v1/runs/{run}/cancel", Own));
            await SeeAsync(silo, run, "cancelled");
        }
        Assert.Equal(0, (await silo.GetAsync("api/v1/queue")).GetArrayLength());

        Assert.Equal(200, await silo.StatusAsync(HttpMethod.Post, "api/v1/nodes/n2/drain", Own));
        await cluster.SeeReadyAsync("n1");
        var (status, body, _) = await silo.SendAsync(HttpMethod.Post, "api/v1/nodes/n1/drain", Own);
        Assert.Equal(409, status);
        Assert.Contains("must not be the only one that takes runs, got n1", body);
        Assert.Equal(200, await silo.StatusAsync(HttpMethod.Post, "api/v1/nodes/n2/undrain", Own));
        await cluster.SeeReadyAsync("n1", "n2");
        await cluster.DownAsync();
    }

    private static (string, string) Own => (HttpAccess.OwnHeader, "1");

    private async Task<string> SubmitAsync(string spec) => (await _cli.JsonAsync(0, "submit", spec)).GetProperty("run").GetString()!;

    private static Task SeeAsync(SiloHttp silo, string run, string state) => Eventually.Holds(
        async () => (await silo.GetAsync($"api/v1/runs/{run}")).GetProperty("state").GetString() == state,
        CliSandbox.Timeout, () => $"{run} is {state}");

    private JsonElement Evaluation(string run, string file) => TinyRun.Json(Path.Combine(_cli.At("output"), run, file));
}
