using System.Globalization;
using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <summary>Checkpoints as a user meets them: listed, run again, exported, and gone on from, by silos that live for one command.</summary>
public sealed class ResumeVerbTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_run_is_checkpointed_verified_exported_and_is_not_resumed_once_it_is_done()
    {
        var run = await _cli.JsonAsync(0, "submit", Spec(epochs: 2), "--set", "checkpoint.everySteps=2", "--wait");
        var folder = run.GetProperty("output").GetString()!;

        var steps = (await _cli.JsonAsync(0, "checkpoints", "last")).EnumerateArray()
            .Select(row => row.GetProperty("step").GetInt32()).ToList();
        Assert.Equal((2, 6), (steps.Count, steps[0])); // the newest two
        Assert.Contains(steps[1], (int[])[2, 4]); // the one after 4 steps is left out where that after 2 is still being written

        var same = await _cli.JsonAsync(0, "verify-resume", "last", "--steps", "2");
        Assert.Equal((steps[1], true, true), (same.GetProperty("from").GetInt32(), same.GetProperty("same").GetBoolean(),
            same.GetProperty("bit_identical").GetBoolean()));
        var alone = await _cli.JsonAsync(0, "verify-resume", "last", "--steps", "2", "--set", "cluster.maxRanks=1");
        Assert.Equal((true, 2, 1), (alone.GetProperty("same").GetBoolean(), alone.GetProperty("world_size_then").GetInt32(),
            alone.GetProperty("world_size_now").GetInt32()));
        Assert.Single(Directory.EnumerateDirectories(_cli.At("output"))); // what was run again is gone
        Assert.Equal(folder, (await _cli.JsonAsync(0, "status", "last")).GetProperty("output").GetString());

        var export = await _cli.JsonAsync(0, "export", folder, "--step", "6", "--to", _cli.At("exported"));
        Assert.Equal((6, "model"), (export.GetProperty("step").GetInt32(), export.GetProperty("kind").GetString()));
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(folder, "model/model.safetensors")), File.ReadAllBytes(_cli.At("exported/model.safetensors")));

        var done = await _cli.RunAsync("resume", "last", "--wait");
        Assert.Equal(2, done.ExitCode);
        Assert.Contains("is done, after 6 steps", done.Stderr);
    }

    [Fact]
    public async Task A_cancelled_run_goes_on_in_its_folder_and_ends_as_if_nothing_had_been()
    {
        await using var submit = _cli.Start("submit", Spec(epochs: 20), "--wait");
        await Eventually.Holds(() => Steps() > 5, CliSandbox.Timeout, "it trains");
        using (new FrozenProcess(_cli.Processes("phi3v-silo").Single())) // it would be done before it is interrupted
        {
            var meanwhile = await _cli.RunAsync("resume", Directory.EnumerateDirectories(_cli.At("output")).Single(), "--wait");
            Assert.Equal(2, meanwhile.ExitCode);
            Assert.Contains("run: another phi3v works in ", meanwhile.Stderr);
        }
        submit.Signal(RunningProcess.Interrupt);
        Assert.Equal(130, (await submit.EndAsync(CliSandbox.Timeout)).ExitCode);
        var (folder, before) = (Directory.EnumerateDirectories(_cli.At("output")).Single(), Steps());

        foreach (var (arguments, expected) in ((string[] Arguments, string Expected)[])
        [
            (["--step", "100000"], "--step: no checkpoint is of this step, got 100000; there "),
            (["--set", "batch.global=2"], "batch.global: was 4 when "),
        ])
        {
            var refused = await _cli.RunAsync(["resume", folder, "--wait", .. arguments]);
            Assert.Equal(2, refused.ExitCode); // before anything is started
            Assert.Contains(expected, refused.Stderr);
        }
        var resumed = await _cli.JsonAsync(
            0, "resume", folder, "--wait", "--set", "cluster.maxRanks=1", "--set", "checkpoint.everySteps=10");

        var (id, state) = (resumed.GetProperty("run").GetString(), resumed.GetProperty("state").GetString());
        Assert.Equal((Path.GetFileName(folder), "done", 60), (id, state, resumed.GetProperty("steps").GetInt32()));
        var lines = TinyRun.Lines(Path.Combine(folder, "steps.jsonl"));
        Assert.Equal(Enumerable.Range(1, 60), lines.Select(line => line.GetProperty("step").GetInt32()));
        Assert.True(lines.Count(line => line.GetProperty("world_size").GetInt32() == 2) >= before - 1, "the first part is kept");
        Assert.Equal(1, lines[^1].GetProperty("world_size").GetInt32());
        Assert.Equal([60, 50], Checkpoints(folder));

        File.Delete(Path.Combine(folder, "report.json")); // as if it had not ended
        await _cli.JsonAsync(0, "resume", folder, "--step", "50", "--wait");
        Assert.Equal([60], Checkpoints(folder, "set-aside"));
        Assert.Equal(lines.Take(50).Select(line => line.ToString()),
            TinyRun.Lines(Path.Combine(folder, "steps.jsonl")).Take(50).Select(line => line.ToString()));
    }

    [Fact]
    public async Task What_is_asked_of_a_run_in_progress_moves_none_of_its_files_and_says_what_it_waits_for()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 1, ranks: 2);
        await _cli.JsonAsync(0, "submit", new TinyRun(_cli).EndlessSpec(), "--set", "checkpoint.everySteps=5");
        await Eventually.Holds(() => Steps() > 10, CliSandbox.Timeout, "it trains");

        foreach (var arguments in (string[][])[["resume", "last"], ["resume", "last", "--step", "5"], ["resume", "last", "--wait"]])
        {
            var resume = await _cli.RunAsync(arguments);
            Assert.Equal((2, ""), (resume.ExitCode, resume.Stdout)); // nothing was set aside
            Assert.Matches("^phi3v: run: must have ended to be resumed, got tiny-.* which is running in the cluster at 127", resume.Stderr);
        }

        await using var verify = _cli.Start("verify-resume", "last", "--steps", "2");
        await Eventually.Holds(() => verify.HasEnded || verify.Stdout.Contains("waits for ", StringComparison.Ordinal),
            CliSandbox.Timeout, "it says what it waits for");
        Assert.False(verify.HasEnded, verify.Stdout + verify.Stderr);
        verify.Signal(RunningProcess.Interrupt);
        Assert.Equal(130, (await verify.EndAsync(CliSandbox.Timeout)).ExitCode);

        await using var watch = _cli.StartOther("/bin/sh", "-c", $"{CliSandbox.Executable} watch last | head -1");
        await watch.EndAsync(CliSandbox.Timeout); // though the run has no end
        await cluster.DownAsync();
    }

    private static IEnumerable<int> Checkpoints(string folder, string below = "") => Directory
        .EnumerateDirectories(Path.Combine(folder, "checkpoints", below), "step-*")
        .Select(name => int.Parse(Path.GetFileName(name).Split('-')[1], CultureInfo.InvariantCulture)).OrderDescending();

    private string Spec(int epochs) => _cli.Write($"resumable-{epochs}.yaml", File.ReadAllText(new TinyRun(_cli).Spec(ranks: 2, epochs))
        .Replace("minRanks: 2", "minRanks: 1", StringComparison.Ordinal));

    private int Steps()
    {
        var file = Directory.Exists(_cli.At("output"))
            ? Directory.EnumerateFiles(_cli.At("output"), "steps.jsonl", SearchOption.AllDirectories).SingleOrDefault() : null;
        return file is null ? 0 : File.ReadLines(file).Count();
    }
}
