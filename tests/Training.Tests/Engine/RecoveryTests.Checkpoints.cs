using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Training.Tests.Engine;

/// <content>What is on the disk: what it costs, who may read it, what is wrong with it.</content>
public sealed partial class RecoveryTests
{
    [Fact]
    public void What_a_checkpoint_takes_of_a_rank_s_time_does_not_grow_with_its_history()
    {
        const int Steps = 20_000;
        using var home = Home(Spec("lora", "replicated"), runs.PathOf("long-history"));
        string[] ids = [.. Enumerable.Range(0, 64).Select(i => $"sample-{i}")];
        for (var step = 1; step <= Steps; step++)
            home.State.Advance(new(step, 0, 1, 2, 1.0 / step, 0.5, 1e-4, 1, 64, 1088, 100_000, 1.5, ids, null));

        StateCheckpoint.PartOf(home, generation: 1, rank: 0, worldSize: 1, completes: true); // compiles what it needs
        var (began, allocated) = (Stopwatch.GetTimestamp(), GC.GetAllocatedBytesForCurrentThread());
        var part = StateCheckpoint.PartOf(home, generation: 1, rank: 0, worldSize: 1, completes: true);
        var bytes = GC.GetAllocatedBytesForCurrentThread() - allocated;
        output.WriteLine($"on the rank's thread {Stopwatch.GetElapsedTime(began).TotalMilliseconds:0.00} ms, {bytes / 1000} kB");

        began = Stopwatch.GetTimestamp();
        var history = part.Complete!.History();
        output.WriteLine($"the history's text {Stopwatch.GetElapsedTime(began).TotalMilliseconds:0.00} ms, {history.Length / 1000} kB");
        Assert.Equal(Steps, history.Count(c => c == '\n'));
        Assert.InRange(bytes, 0, 500_000); // references to the records, and the manifest
    }

    [Fact]
    public void A_checkpoint_that_somebody_reads_is_kept_until_he_has()
    {
        var store = new FolderStore(Whole("lora", "replicated", seats: 1));
        var old = store.Complete()[^1];

        using (var reading = StoredCheckpoint.Open(old.Folder))
        {
            store.Retain(keep: 1, kept: null);
            Assert.Equal([10L, old.Step], store.Complete().Select(one => one.Step));
            reading.Read(shard => Assert.True(shard.Flat.Count > 0));
        }
        using (RunCheckpoints.Hold(old.Folder)) // as the CLI does that copies one
            store.Retain(keep: 1, kept: null);
        Assert.Equal(2, store.Complete().Count);

        store.Retain(keep: 1, kept: null);
        Assert.Equal(10, Assert.Single(store.Complete()).Step);
        Assert.Contains("is not there", Assert.Throws<InputException>(() => RunCheckpoints.Hold(old.Folder)).Message);
    }

    [Fact]
    public void A_checkpoint_that_cannot_be_written_costs_no_training_and_is_told_once()
    {
        using var run = new LocalRun(Spec("lora", "replicated"), runs.PathOf("no-room"));
        Directory.CreateDirectory(runs.PathOf("no-room"));
        File.WriteAllText(Path.Combine(runs.PathOf("no-room"), "checkpoints"), "a file where a folder should be");
        run.Take(1);
        run.Until("it is ready", p => p.Phase == RankPhase.Parked);

        var end = End(run).Single();

        Assert.Single(end.Notes, note => note.Contains("a checkpoint could not be written, training goes on"));
        Assert.Equal(12, LocalRun.Steps(runs.PathOf("no-room")).Count);
    }

    [Fact]
    public void Other_settings_than_the_checkpoint_s_are_refused_side_by_side()
    {
        var output = Whole("lora", "replicated", seats: 1);
        var spec = Spec("lora", "replicated");
        using var run = new LocalRun(
            spec with { Optimizer = spec.Optimizer with { LearningRate = 0.5 }, Batch = spec.Batch with { Global = 2 } }, output);

        run.Take(1);

        var error = run.Until("it fails", p => p.Phase == RankPhase.Failed).Single().Error!;
        Assert.Contains("batch.global: was 3 when ", error);
        Assert.Contains("optimizer.learningRate: was 0.001 when ", error);
        Assert.Contains("got 0.5", error);
    }

    [Theory]
    [InlineData("flip", "is damaged")]
    [InlineData("delete", "is missing")]
    [InlineData("newer", "is of format 99")]
    public void A_damaged_checkpoint_is_named_and_an_older_one_taken(string damage, string expected)
    {
        var output = Whole("lora", "replicated", seats: 1);
        var complete = new FolderStore(output).Complete();
        Assert.Equal(2, complete.Count);
        Damage(complete[0].Folder, damage);
        File.Delete(Exported(output));

        var error = Assert.Throws<InputException>(() => new FolderStore(output).OfStep(complete[0].Step, _ => { }));
        Assert.Contains(expected, error.Message);
        Assert.Contains($"no checkpoint of this step that can be read is in {Path.GetDirectoryName(complete[0].Folder)}", error.Message);
        using var run = new LocalRun(Spec("lora", "replicated"), output);
        run.Take(1);
        Assert.Equal(complete[1].Step, run.Until("it is ready", p => p.Phase == RankPhase.Parked).Single().Offer!.Step);
        var end = End(run).Single();
        Assert.Contains(end.Notes, note => note.Contains(expected));
    }

    [Fact]
    public void A_run_does_not_begin_anew_over_checkpoints_that_are_all_damaged()
    {
        var output = Whole("lora", "replicated", seats: 1);
        foreach (var one in new FolderStore(output).Complete()) Damage(one.Folder, "flip");
        var steps = File.ReadAllText(Path.Combine(output, "steps.jsonl"));
        using var run = new LocalRun(Spec("lora", "replicated"), output);
        run.Take(1);
        run.Until("it is ready", p => p.Phase == RankPhase.Parked);

        run.Join();

        var error = run.Until("it fails", p => p.Phase == RankPhase.Failed).Single().Error!;
        Assert.Contains($"checkpoint: none in {Path.Combine(output, "checkpoints")} can be read; restore one of them", error);
        Assert.Contains("is damaged", error);
        Assert.Equal(steps, File.ReadAllText(Path.Combine(output, "steps.jsonl")));
    }

    private static void Damage(string folder, string damage)
    {
        var shard = Directory.EnumerateFiles(folder, "*.safetensors").Single();
        switch (damage)
        {
            case "flip":
                var bytes = File.ReadAllBytes(shard);
                bytes[^5] ^= 1;
                File.WriteAllBytes(shard, bytes);
                break;
            case "delete":
                File.Delete(shard);
                break;
            default:
                var manifest = Path.Combine(folder, CheckpointManifest.FileName);
                var future = File.ReadAllText(manifest).Replace("\"format\": 1,", "\"format\": 99,", StringComparison.Ordinal);
                File.WriteAllText(manifest, future);
                break;
        }
    }
}
