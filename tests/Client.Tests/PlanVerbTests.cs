using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Client.Tests;

/// <summary>The built CLI: plans.</summary>
public sealed class PlanVerbTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_recipe_is_planned_by_name_without_model_data_or_cluster()
    {
        var plan = await _cli.JsonAsync(0, "plan", "docvqa-lora-bf16", "--gpu", "a100-80gb", "--nodes", "2", "--price", "27.2");

        Assert.Equal(("docvqa-lora-bf16", "a100-80gb"), (Text(plan, "recipe"), Text(plan, "gpu")));
        Assert.Equal((2, 16, 3, 1000), (Number(plan, "nodes"), Number(plan, "gpus"), Number(plan, "micro_batch"), Number(plan, "samples")));
        Assert.True(plan.GetProperty("fits").GetBoolean());
        Assert.Equal(Number(plan, "peak_gb"), plan.GetProperty("items").EnumerateArray().Sum(item => Number(item, "gb")), 1e-6);
        Assert.All(plan.GetProperty("items").EnumerateArray(), item => Assert.NotEmpty(Text(item, "name")));
        Assert.Equal("selective", Text(plan, "activation_checkpointing"));
        Assert.InRange(Number(plan, "images_per_second"), 1, 1000);
        Assert.InRange(Number(plan, "exposed_communication_ratio"), 1e-6, 1);
        Assert.Equal(32 * Number(plan, "step_seconds") / 3600, Number(plan, "hours"), 1e-9);
        Assert.Equal(2 * 27.2 * Number(plan, "hours"), Number(plan, "cost"), 1e-9);
        Assert.Contains("predicted from H100", Text(plan, "basis"));
        Assert.Contains(plan.GetProperty("advice").EnumerateArray(), line => line.GetString()!.StartsWith("cluster.maxRanks:"));
    }

    [Fact]
    public async Task What_cannot_fit_is_refused_with_what_would()
    {
        string[] arguments = ["plan", "docvqa-full-bf16", "--gpu", "rtx-4090", "--price", "1"];
        var (words, plan) = (await _cli.RunAsync(arguments), await _cli.JsonAsync(2, arguments));

        Assert.Equal(2, words.ExitCode);
        Assert.StartsWith("phi3v: memory: a rank needs ", words.Stderr);
        Assert.Contains("\nfits: method.kind: lora (", words.Stdout);
        Assert.DoesNotContain("img/s, a step", words.Stdout);
        Assert.False(plan.GetProperty("fits").GetBoolean());
        Assert.All((string[])["images_per_second", "hours", "cost"],
            key => Assert.Equal(JsonValueKind.Null, plan.GetProperty(key).ValueKind));
        Assert.Contains(plan.GetProperty("advice").EnumerateArray(), line => line.GetString()!.StartsWith("fits: --gpu "));
    }

    [Fact]
    public async Task A_spec_of_one_s_own_needs_the_number_of_its_samples()
    {
        var spec = _cli.Write(
            "mine.yaml", "name: mine\nmodel: { path: m }\ndata: { train: t.jsonl }\nprecision: bf16\nmethod: { kind: lora }\n");

        var without = await _cli.RunAsync("plan", spec, "--gpu", "h100");
        var with = await _cli.JsonAsync(0, "plan", spec, "--gpu", "h100", "--samples", "6400", "--gpus-per-node", "2", "--set", "epochs=3");

        Assert.Equal((0, ""), (without.ExitCode, without.Stderr));
        Assert.Contains("--samples gives it", without.Stdout);
        Assert.Equal((2, 300 * Number(with, "step_seconds") / 3600), (Number(with, "gpus"), Number(with, "hours")));
    }

    [Fact]
    public async Task A_recipe_with_other_data_no_longer_knows_its_samples()
    {
        var plan = await _cli.JsonAsync(0, "plan", "docvqa-lora-bf16", "--gpu", "h100", "--set", "data.train=mine.parquet");

        Assert.Equal(
            (JsonValueKind.Null, JsonValueKind.Null), (plan.GetProperty("samples").ValueKind, plan.GetProperty("hours").ValueKind));
    }

    [Fact]
    public async Task A_batch_with_fewer_samples_than_ranks_gets_what_would_do()
    {
        var plan = await _cli.JsonAsync(2, "plan", "docvqa-lora-bf16", "--gpu", "h100",
            "--set", "batch.global=2", "--set", "cluster.maxRanks=1", "--set", "cluster.minRanks=1");

        string[] advice = [.. plan.GetProperty("advice").EnumerateArray().Select(line => line.GetString()!)];
        Assert.Contains(advice, line => line.StartsWith("fits: batch.global: 8 (", StringComparison.Ordinal));
        Assert.Contains(advice, line => line.StartsWith("fits: --gpus-per-node 2 (", StringComparison.Ordinal));
        Assert.Contains(advice, line => line.StartsWith("cluster.maxRanks: the spec takes at most 1 rank;", StringComparison.Ordinal));
    }

    [Fact]
    public async Task All_that_is_wrong_is_said_at_once()
    {
        var spec = _cli.Write("bad.yaml", "model: { path: m }\ndata: { train: t }\nepochs: 0\n");

        var result = await _cli.RunAsync(
            "plan", spec, "--gpu", "h100", "--nodes", "0", "--gpus-per-node", "-2", "--price", "-1", "--samples", "0");

        Assert.Equal((2, ""), (result.ExitCode, result.Stdout));
        string[] keys = [.. result.Stderr.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(':')[1].Trim())];
        Assert.Equal(["epochs", "--nodes", "--gpus-per-node", "--price", "--samples"], keys);
    }

    [Theory]
    [InlineData("--gpu: no such GPU is known, got rtx-4080; did you mean rtx-4090?", "--gpu", "rtx-4080")]
    [InlineData("--gpu: several are meant, got a100; choose one of a100-40gb, a100-80gb.", "--gpu", "a100")]
    [InlineData("--price: must be a number from 0 to 1000000000, got much; write", "--gpu", "h100", "--price", "much")]
    [InlineData("--price: must be a number from 0 to 1000000000, got 1e308; write", "--gpu", "h100", "--price", "1e308")]
    [InlineData("--nodes: must be at most 100000, got 100001; lower it.", "--gpu", "h100", "--nodes", "100001")]
    [InlineData("Option '--gpu' is required.")]
    public async Task A_wrong_option_is_named_with_what_was_given(string message, params string[] arguments)
    {
        var result = await _cli.RunAsync(["plan", "docvqa-lora-bf16", .. arguments]);

        Assert.Equal((2, ""), (result.ExitCode, result.Stdout));
        Assert.StartsWith($"phi3v: {message}", result.Stderr);
    }

    private static string Text(JsonElement row, string name) => row.GetProperty(name).GetString()!;

    private static double Number(JsonElement row, string name) => row.GetProperty(name).GetDouble();
}
