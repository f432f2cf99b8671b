using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>
/// A disk that is full when a run comes to its end: the run goes on from step 20, the disk is filled before it joins, and its result is to
/// be written after step 40.
/// </summary>
public sealed class FullDiskTests(SmallRuns runs) : IClassFixture<SmallRuns>, IDisposable
{
    private const int RoomForSmallFiles = 1 << 16;

    private readonly SmallDisk _disk = SmallDisk.Mount(runs.PathOf($"disk-{Guid.NewGuid():N}"), megabytes: 32);

    public void Dispose() => _disk.Dispose();

    [Fact]
    public void Older_checkpoints_make_room_for_the_result()
    {
        using var run = Begin(diskSeconds: 3600, checkpoints: [20, 10], out var output);

        _disk.Fill(RoomForSmallFiles);
        run.Join();

        var end = Assert.Single(run.Until("it ends", HasEnded));
        Assert.True(end.Phase == RankPhase.Finished, end.Error);
        Assert.Contains(end.Notes, note => note.StartsWith("what was trained could not be written")
            && note.EndsWith("older checkpoints made room for it, of step 10"));
        Assert.Equal("what was trained is written", end.Notes[^1]);
        Assert.Equal([20], Checkpoints(output));
        using var model = CheckpointFolder.Open(Path.Combine(output, "model"));
        Assert.Equal(40, LocalRun.Steps(output).Count);
    }

    [Fact]
    public void What_was_trained_is_held_by_all_ranks_until_there_is_room()
    {
        using var run = Begin(diskSeconds: 3600, checkpoints: [20], out var output, ranks: 2);
        var before = File.GetLastWriteTimeUtc(Path.Combine(output, "model", "model.safetensors"));

        _disk.Fill(RoomForSmallFiles);
        run.Join();
        run.UntilAny("it says what it waits for", p => p.Notes.Any(note =>
            note.StartsWith("what was trained cannot be written, all that was trained is held in memory: ")));
        Assert.All(run.Progress, rank => Assert.Equal(RankPhase.Exporting, rank.Phase));
        Assert.Equal([20], Checkpoints(output));
        Assert.Equal(before, File.GetLastWriteTimeUtc(Path.Combine(output, "model", "model.safetensors"))); // the earlier one is whole

        _disk.Free();
        Assert.All(run.Until("it ends", HasEnded), end => Assert.True(end.Phase == RankPhase.Finished, end.Error));
        Assert.NotEqual(before, File.GetLastWriteTimeUtc(Path.Combine(output, "model", "model.safetensors")));
    }

    [Fact]
    public void A_run_that_gives_up_says_what_is_kept_and_how_to_finish_it()
    {
        using var run = Begin(diskSeconds: 0, checkpoints: [20], out var output);

        _disk.Fill(RoomForSmallFiles);
        run.Join();

        var end = Assert.Single(run.Until("it ends", HasEnded));
        Assert.Equal(RankPhase.Failed, end.Phase);
        Assert.Matches(@"^what was trained could not be written for 0 s: .*; [0-9.]+ MB are missing in .*\. "
            + @"The checkpoint of step 20 of 40 is kept; make room, then `phi3v resume run` goes on from it\.$", end.Error);
    }

    [Fact]
    public void What_cannot_fit_is_refused_before_the_run()
    {
        var need = DiskNeed.Of(new RunSpec(), 8_290_000_000, 4_130_000_000, steps: 1000);

        Assert.Equal(3, need.Checkpoints); // the third is written before the first is removed
        Assert.Equal(1, DiskNeed.Of(new RunSpec(), 1, 1, steps: 199).Checkpoints);
        Assert.Equal(0, DiskNeed.Of(new RunSpec { Checkpoint = new() { EverySteps = 0 } }, 1, 1, steps: 1000).Checkpoints);
        Assert.Equal($"output: the result needs 8.3 GB and 3 checkpoints 49.6 GB each, 157.0 GB in all, got 4.1 GB free in /o; "
            + "make room, choose another folder, or lower checkpoint.keep.", need.Sentence(4_100_000_000, "/o"));
        Assert.Null((need with { Result = 1, Checkpoint = 1 }).Problem(_disk.Folder));
        Assert.NotNull(need.Problem(_disk.Folder));
    }

    /// <summary>A run that came to its end once, goes on from an earlier checkpoint of it, and has parked.</summary>
    /// <param name="checkpoints">Those that are there, the newest first.</param>
    private LocalRun Begin(int diskSeconds, long[] checkpoints, out string output, int ranks = 1)
    {
        output = Path.Combine(_disk.Folder, "run");
        var spec = runs.Spec with
        {
            Epochs = 100,
            MaxSteps = 40,
            Checkpoint = new() { EverySteps = 10, Keep = 4 },
            Failure = new() { DiskSeconds = diskSeconds },
        };
        Assert.Equal(RankPhase.Finished, Assert.Single(LocalRun.Train(spec, 1, output)).Phase);
        foreach (var other in RunCheckpoints.Find(output).Where(one => !checkpoints.Contains(one.Step)))
            Directory.Delete(other.Folder, recursive: true);
        Assert.Equal(checkpoints, Checkpoints(output));
        var run = new LocalRun(spec, output);
        run.Take(ranks);
        Assert.All(run.Until("it is ready", p => p.Phase != RankPhase.Loading), p => Assert.Equal(RankPhase.Parked, p.Phase));
        return run;
    }

    private static IEnumerable<long> Checkpoints(string output) =>
        RunCheckpoints.Find(output).Where(c => c.IsComplete).Select(c => c.Step);

    private static bool HasEnded(RankProgress p) => p.Phase is RankPhase.Finished or RankPhase.Failed;
}
