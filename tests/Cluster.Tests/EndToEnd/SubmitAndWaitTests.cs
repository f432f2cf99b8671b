using System.Globalization;
using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <summary>A run without a cluster: the silo lives as long as the command.</summary>
public sealed class SubmitAndWaitTests : IDisposable
{
    private static readonly string[] StepKeys =
    [
        "step", "epoch", "generation", "world_size", "loss", "grad_norm", "learning_rate", "loss_scale", "images", "tokens", "seconds",
        "sample_ids", "skipped",
    ];

    private readonly CliSandbox _cli = new();
    private readonly TinyRun _run;

    public SubmitAndWaitTests() => _run = new(_cli);

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task Two_ranks_train_and_leave_every_artefact_and_nothing_else()
    {
        const int epochs = 2, steps = epochs * TinyRun.TrainPages / TinyRun.Batch;

        var answer = await _cli.JsonAsync(0, "submit", _run.Spec(ranks: 2, epochs), "--wait");

        var folder = answer.GetProperty("output").GetString()!;
        Assert.Equal(
            (_cli.At("output"), Path.GetFileName(folder), "done", steps, 2),
            (Path.GetDirectoryName(folder), answer.GetProperty("run").GetString(), answer.GetProperty("state").GetString(),
                answer.GetProperty("steps").GetInt32(), answer.GetProperty("world_size").GetInt32()));
        Assert.True(answer.GetProperty("seconds").GetDouble() > 0);
        AssertSteps(TinyRun.Lines(Path.Combine(folder, "steps.jsonl")), epochs, answer.GetProperty("final_loss").GetDouble());
        AssertEvaluation(Path.Combine(folder, "eval-before.json"), answer.GetProperty("eval_before").GetDouble());
        AssertEvaluation(Path.Combine(folder, "eval-after.json"), answer.GetProperty("eval_after").GetDouble());
        Assert.Equal(steps, TinyRun.Json(Path.Combine(folder, "report.json")).GetProperty("steps").GetInt32());
        Assert.Equal(
            ["eval-after.json", "eval-before.json", "model", "report.json", "report.md", "run.yaml", "steps.jsonl", "trainability.json"],
            Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        foreach (var file in (string[])["config.json", "model.safetensors", "tokenizer.json"])
            Assert.True(File.Exists(Path.Combine(folder, "model", file)), $"there is no model/{file}");
        Assert.Empty(_cli.Processes());
        Assert.Empty(_cli.TemporaryFiles());
    }

    [Theory]
    [InlineData("full", "model.path={0}/model")]
    [InlineData("lora", "method.adapter={0}/adapter")]
    public async Task What_a_run_exported_and_its_resolved_spec_start_another_run(string method, string setting)
    {
        var first = await _cli.JsonAsync(0, "submit", _run.Spec(ranks: 2, epochs: 1), "--set", $"method.kind={method}", "--wait");
        var folder = first.GetProperty("output").GetString()!;

        var second = await _cli.JsonAsync(
            0, "submit", Path.Combine(folder, "run.yaml"), "--set", string.Format(CultureInfo.InvariantCulture, setting, folder), "--wait");

        Assert.Equal("done", second.GetProperty("state").GetString());
        Assert.Equal(first.GetProperty("eval_after").GetDouble(), second.GetProperty("eval_before").GetDouble());
    }

    [Theory]
    [InlineData(RunningProcess.Interrupt)]
    [InlineData(RunningProcess.Terminate)]
    public async Task Interrupting_a_run_in_mid_training_exits_1_and_leaves_nothing(int signal)
    {
        await using var submit = await StartEndlessAsync();

        submit.Signal(signal);
        var result = await submit.EndAsync(CliSandbox.Timeout);

        Assert.Equal(1, result.ExitCode);
        Assert.EndsWith("phi3v: interrupted.\n", result.Stderr);
        Assert.Empty(_cli.Processes());
        Assert.Empty(_cli.TemporaryFiles());
    }

    [Fact]
    public async Task A_silo_whose_command_is_killed_in_mid_training_ends_by_itself()
    {
        await using var submit = await StartEndlessAsync();
        Assert.Single(_cli.Processes("phi3v-silo"));

        submit.Signal(RunningProcess.Kill);

        await Eventually.Holds(
            () => _cli.Processes("phi3v-silo").Count == 0, TimeSpan.FromSeconds(30), "the silo without its command ends");
    }

    [Fact]
    public async Task A_killed_silo_fails_its_command_at_once_with_the_end_of_its_log()
    {
        await using var submit = await StartEndlessAsync();

        RunningProcess.Signal(Assert.Single(_cli.Processes("phi3v-silo")), RunningProcess.Kill);
        var result = await submit.EndAsync(CliSandbox.Timeout);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("the local silo ended", result.Stderr);
        Assert.Contains("silo.log ends with:", result.Stderr);
        Assert.Empty(_cli.Processes());
    }

    [Fact]
    public async Task A_picture_that_cannot_be_read_fails_the_run_and_is_named()
    {
        var (sample, file) = _run.SpoilOnePage();

        var result = await _cli.RunAsync("submit", _run.Spec(), "--wait", "--json");

        Assert.Equal(1, result.ExitCode);
        var answer = JsonDocument.Parse(result.Stdout).RootElement;
        Assert.Equal("failed", answer.GetProperty("state").GetString());
        var error = answer.GetProperty("error").GetString();
        Assert.Contains(sample, error);
        Assert.Contains(file, error);
        Assert.DoesNotContain("   at ", error); // no stack trace: the user's file is at fault
        Assert.Empty(_cli.Processes());
        Assert.Empty(_cli.TemporaryFiles());
    }

    private async Task<RunningProcess> StartEndlessAsync()
    {
        var submit = _cli.Start("submit", _run.EndlessSpec(), "--wait");
        await _run.UntilTrainingAsync();
        return submit;
    }

    private static void AssertSteps(IReadOnlyList<JsonElement> steps, int epochs, double finalLoss)
    {
        Assert.All(steps, s => Assert.Equal(StepKeys, s.EnumerateObject().Select(p => p.Name)));
        Assert.Equal(Enumerable.Range(1, steps.Count), steps.Select(s => s.GetProperty("step").GetInt32()));
        Assert.Equal(finalLoss, steps[^1].GetProperty("loss").GetDouble());
        var samples = steps.SelectMany(s => s.GetProperty("sample_ids").EnumerateArray()).CountBy(id => id.GetString()!).ToArray();
        Assert.Equal(TinyRun.TrainPages, samples.Length);
        Assert.All(samples, s => Assert.Equal(epochs, s.Value)); // each once an epoch
    }

    private static void AssertEvaluation(string file, double value)
    {
        var evaluation = TinyRun.Json(file);
        Assert.Equal(("anls", value), (evaluation.GetProperty("metric").GetString(), evaluation.GetProperty("value").GetDouble()));
        Assert.Equal(TinyRun.EvalPages, evaluation.GetProperty("predictions").GetArrayLength());
    }
}
