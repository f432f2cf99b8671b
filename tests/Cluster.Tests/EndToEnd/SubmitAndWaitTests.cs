using System.Globalization;
using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <summary>A run without a cluster: the silo lives as long as the command.</summary>
public sealed class SubmitAndWaitTests : IDisposable
{
    private static readonly string[] StepKeys =
    [
        "step", "epoch", "generation", "world_size", "loss", "grad_norm", "learning_rate", "loss_scale", "images", "crops", "tokens",
        "seconds", "sample_ids", "skipped",
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
            ["eval-after.json", "eval-before.json", "model", "report.json", "report.md", "run.log", "run.yaml", "steps.jsonl",
                "trainability.json"],
            Entries(folder).Except(["silo.log"])); // there where the silo warned, as on a busy machine of an answer that came late
        foreach (var file in (string[])["config.json", "model.safetensors", "tokenizer.json"])
            Assert.True(File.Exists(Path.Combine(folder, "model", file)), $"there is no model/{file}");
        Assert.Empty(_cli.Processes());
        Assert.Empty(_cli.TemporaryFiles());

        var run = answer.GetProperty("run").GetString()!;
        Assert.Equal("done", (await _cli.JsonAsync(0, "status", "tiny")).GetProperty("state").GetString());
        Assert.Equal(run, Assert.Single((await _cli.JsonAsync(0, "runs")).EnumerateArray()).GetProperty("run").GetString());
        Assert.Contains("epoch 2 of 2 ended", (await _cli.RunAsync("logs", "last")).Stdout);
    }

    [Fact]
    public async Task A_run_ends_after_the_most_steps_that_it_may_take_and_says_what_comes_next()
    {
        var result = await _cli.RunAsync(
            "submit", _run.Spec(ranks: 2, epochs: 3), "--set", "maxSteps=4", "--set", "method.kind=lora", "--wait");

        Assert.Equal(0, result.ExitCode);
        Assert.Contains("4 of 4", result.Stdout);
        Assert.Contains("1 of 3", result.Stdout); // of three steps each: the second epoch is not over
        var folder = Assert.Single(Directory.GetDirectories(_cli.At("output")));
        Assert.Equal([1, 2, 3, 4], TinyRun.Lines(Path.Combine(folder, "steps.jsonl")).Select(line => line.GetProperty("step").GetInt32()));
        Assert.Matches("held-out loss +[0-9.]+ → [0-9.]+", result.Stdout);
        Assert.Contains(
            $"phi3v generate --model {_cli.At("files")}/model --adapter {folder}/adapter --image FILE --prompt TEXT", result.Stdout);
    }

    [Fact]
    public async Task A_device_that_no_node_has_is_refused_at_once()
    {
        var result = await _cli.RunAsync("submit", _run.Spec(), "--set", "cluster.device=cuda", "--wait");

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("cluster.device: no node has such a device, got cuda; the cluster has local (cpu)", result.Stderr);
        Assert.Empty(_cli.Processes());
    }

    [Fact]
    public async Task A_run_that_cannot_fit_into_memory_is_refused_before_anything_starts()
    {
        var silo = FakeSilo.ThatNeverGetsReady(_cli);

        var result = await _cli.RunAsync(
            "submit", _run.Spec(), "--set", "method.kind=lora", "--set", "method.rank=1000000000", "--wait");

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("phi3v: memory: 2 ranks on this machine need at least ", result.Stderr);
        Assert.Contains("what fits: method.rank: 32", result.Stderr);
        Assert.False(silo.HasStarted);
    }

    [Fact]
    public async Task A_warm_up_that_is_longer_than_the_run_is_told()
    {
        var result = await _cli.RunAsync("submit", _run.Spec(epochs: 1), "--set", "optimizer.warmupSteps=50", "--wait");

        Assert.Equal(0, result.ExitCode);
        Assert.Contains(
            "warning: optimizer.warmupSteps: the run's 3 steps end within its warm-up of 50: the rate reaches 4e-5 of 1e-3", result.Stdout);
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
    public async Task Interrupting_a_run_in_mid_training_exits_130_says_where_it_is_and_leaves_nothing(int signal)
    {
        await using var submit = await StartEndlessAsync();

        submit.Signal(signal);
        var result = await submit.EndAsync(CliSandbox.Timeout);

        Assert.Equal(130, result.ExitCode);
        Assert.Matches("the run tiny-.* was cancelled; what it wrote is in .*output/tiny-", result.Stderr);
        Assert.EndsWith("phi3v: interrupted.\n", result.Stderr);
        Assert.Empty(_cli.Processes());
        Assert.Empty(_cli.TemporaryFiles());
    }

    /// <summary>As `timeout` does, which signals its command and then the command's group.</summary>
    [Fact]
    public async Task Two_signals_at_once_are_one()
    {
        await using var submit = await StartEndlessAsync();

        submit.Signal(RunningProcess.Interrupt);
        submit.Signal(RunningProcess.Terminate);
        var result = await submit.EndAsync(CliSandbox.Timeout);

        Assert.Equal(130, result.ExitCode);
        Assert.EndsWith("phi3v: interrupted.\n", result.Stderr);
        Assert.Empty(_cli.Processes());
    }

    [Fact]
    public async Task A_silo_whose_command_is_killed_in_mid_training_ends_by_itself()
    {
        await using var submit = await StartEndlessAsync();
        Assert.Single(_cli.Processes("phi3v-silo"));

        submit.Signal(RunningProcess.Kill);

        await Eventually.Holds(
            () => _cli.Processes("phi3v-silo").Count == 0, CliSandbox.Timeout, "the silo without its command ends");

        var known = Assert.Single((await _cli.JsonAsync(0, "runs")).EnumerateArray());
        Assert.Equal("failed", known.GetProperty("state").GetString());
        Assert.StartsWith("the process that ran it ended before the run did; `phi3v resume tiny-", known.GetProperty("error").GetString());
        Assert.True(known.GetProperty("step").GetInt32() >= 2);
        Assert.Equal(known.GetProperty("run").GetString(), (await _cli.JsonAsync(0, "status", "last")).GetProperty("run").GetString());
    }

    [Fact]
    public async Task A_run_that_died_before_its_first_checkpoint_is_resumed_from_its_begin()
    {
        await using var submit = _cli.Start("submit", _run.EndlessSpec(), "--set", "checkpoint.everySteps=0", "--wait");
        await _run.UntilTrainingAsync();
        RunningProcess.Signal(Assert.Single(_cli.Processes("phi3v-silo")), RunningProcess.Kill);
        await submit.EndAsync(CliSandbox.Timeout);
        var folder = Assert.Single(Directory.GetDirectories(_cli.At("output")));
        Assert.False(Directory.Exists(Path.Combine(folder, "checkpoints")));

        await using var resume = _cli.Start("resume", "last", "--wait");
        await Eventually.Holds(() => File.Exists(Path.Combine(folder, "steps-before-1.jsonl")), CliSandbox.Timeout, "steps are set aside");
        await _run.UntilTrainingAsync();
        var steps = TinyRun.Lines(Path.Combine(folder, "steps.jsonl"));
        Assert.Equal(Enumerable.Range(1, steps.Count), steps.Select(step => step.GetProperty("step").GetInt32()));
        resume.Signal(RunningProcess.Interrupt);
        var resumed = await resume.EndAsync(CliSandbox.Timeout);
        Assert.Equal(130, resumed.ExitCode);
        Assert.Contains("has no checkpoint: it begins anew", resumed.Stdout);
    }

    [Fact]
    public async Task A_killed_silo_fails_its_command_at_once_in_words_of_its_own()
    {
        await using var submit = await StartEndlessAsync();

        RunningProcess.Signal(Assert.Single(_cli.Processes("phi3v-silo")), RunningProcess.Kill);
        var result = await submit.EndAsync(CliSandbox.Timeout);

        Assert.Equal(1, result.ExitCode);
        Assert.Matches("the local silo was killed \\(signal 9\\), most often because memory ran out: "
            + "the run needs about .*, this machine has .* GB", result.Stderr);
        Assert.DoesNotContain("Request", result.Stderr);
        Assert.Empty(_cli.Processes());
        var known = await _cli.JsonAsync(0, "status", "last");
        Assert.Equal("failed", known.GetProperty("state").GetString());
        Assert.Contains("signal 9", known.GetProperty("error").GetString());
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

    private static IEnumerable<string> Entries(string folder) =>
        Directory.EnumerateFileSystemEntries(folder).Select(entry => Path.GetFileName(entry)).Order(StringComparer.Ordinal);

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
