using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.Cli;

/// <summary>validate with a real silo: what a run would meet, without the run.</summary>
public sealed class ValidateVerbTests : IDisposable
{
    private readonly CliSandbox _cli = new();
    private readonly TinyRun _run;

    public ValidateVerbTests() => _run = new(_cli);

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_good_run_is_told_with_its_rows_tokens_steps_and_room()
    {
        var found = await _cli.JsonAsync(0, "validate", _run.Spec(ranks: 2, epochs: 2), "--set", "optimizer.warmupSteps=50");

        Assert.True(found.GetProperty("valid").GetBoolean());
        Assert.Equal(
            (TinyRun.TrainPages, TinyRun.EvalPages, 3, 6, 50),
            (Int("training_samples"), Int("held_out_samples"), Int("steps_per_epoch"), Int("steps"), Int("warmup_steps")));
        Assert.True(found.GetProperty("tokens").GetProperty("min").GetInt32() > 313);
        var warning = Assert.Single(found.GetProperty("warnings").EnumerateArray()).GetString();
        Assert.StartsWith("optimizer.warmupSteps: the run's 6 steps end within", warning);
        Assert.True(found.GetProperty("memory_bytes_per_rank").GetDouble() > 0);
        Assert.True(found.GetProperty("result_bytes").GetInt64() > 0);
        Assert.Empty(_cli.Processes());
        Assert.False(Directory.Exists(_cli.At("output")));

        int Int(string key) => found.GetProperty(key).GetInt32();
    }

    [Fact]
    public async Task A_method_that_does_not_fit_the_model_makes_it_invalid()
    {
        var result = await _cli.RunAsync(
            "validate", _run.Spec(), "--set", "method.kind=lora", "--set", "method.targets=[qkv_proj, qvk_proj]");

        Assert.True(result.ExitCode == 2, $"{result}");
        var error = result.Stderr.TrimEnd().Split('\n')[^1]; // above it stand the silo's start and what it does, as long as that takes
        Assert.StartsWith("phi3v: method.targets: matches no linear layer, got qvk_proj; choose some of ", error);
    }

    [Fact]
    public async Task What_rows_may_not_mean_is_told_as_a_run_tells_it()
    {
        const string Row = "{\"conversations\": [{\"user\": \"<image> what?\", \"assistant\": \"a\"}]}\n";
        var rows = _cli.Write("rows.jsonl", string.Concat(Enumerable.Repeat(Row, 4)));

        var found = await _cli.JsonAsync(0, "validate", _run.Spec(), "--set", $"data.train={rows}");

        Assert.Contains("data.train: <image> in a question is plain text for this data.kind, in 4 row(s)",
            string.Join('\n', found.GetProperty("warnings").EnumerateArray()));
    }

    [Fact]
    public async Task Bad_rows_are_named_and_make_it_invalid()
    {
        _run.SpoilOnePage();

        var result = await _cli.RunAsync("validate", _run.Spec());

        Assert.True(result.ExitCode == 2, $"{result}");
        Assert.Contains("data.train: ", result.Stderr);
        Assert.Contains("train.jsonl:4", result.Stderr);
        Assert.DoesNotContain("valid\n", result.Stdout);
    }
}
