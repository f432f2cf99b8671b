using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Training.Tests.Engine;

/// <content>Nodes whose output folders are on disks of their own.</content>
public sealed partial class RecoveryTests
{
    [Theory]
    [InlineData("lora", "replicated")]
    [InlineData("full", "sharded")]
    public void A_node_that_is_lost_with_its_disk_leaves_a_copy_of_the_checkpoint(string method, string state)
    {
        var (spec, disks) = (Spec(method, state) with { Cluster = new() { MaxRanks = 3, State = state } }, Disks(3));
        using (var run = new LocalRun(spec, seat => disks[seat]))
        {
            run.Take(3);
            run.Until("all are ready", p => p.Phase == RankPhase.Parked);
            run.Join();
            run.UntilAny("two disks have a checkpoint", _ => disks.Count(disk => new FolderStore(disk).Complete().Count > 0) == 2);
            var told = run.Progress.SelectMany(p => p.Notes);
            Assert.Single(told, "the nodes do not share the output folder: checkpoints are written on two of them");
            for (var seat = 0; seat < 3; seat++) run.Forget(seat);
        }
        Assert.Empty(new FolderStore(disks[2]).Complete());

        using var resumed = new LocalRun(spec, seat => disks[seat + 1]); // the first is gone
        resumed.Take(2);
        var offers = resumed.Until("both are ready", p => p.Phase == RankPhase.Parked);
        Assert.True(offers[0].Offer!.Step >= 5, $"{offers[0]}");
        Assert.Equal(0, offers[1].Offer!.Step);
        End(resumed);

        Same(Whole(method, state, seats: 2), disks[1], exactly: false);
    }

    [Fact]
    public void A_shard_that_a_keeper_cannot_take_costs_the_checkpoint_and_no_training()
    {
        var (spec, disks) = (Spec("full", "sharded"), Disks(2));
        var shard = Path.Combine(new FolderStore(disks[0]).FolderOf(step: 5, generation: 1), ShardFile.NameOf(1, 2));
        Directory.CreateDirectory(shard); // where a file should be
        using var run = new LocalRun(spec, seat => disks[seat]);
        run.Take(2);
        run.Until("all are ready", p => p.Phase == RankPhase.Parked);
        run.Join();

        var end = run.Until("the run ends", p => p.Phase == RankPhase.Finished);

        Assert.Single(end[0].Notes, note => note.Contains("a checkpoint could not be written, training goes on"));
        Assert.Equal(12, LocalRun.Steps(disks[0]).Count);
        Assert.Contains(new FolderStore(disks[1]).Complete(), one => one.Step == 5);
    }

    [Fact]
    public void A_shard_that_its_rank_cannot_write_costs_the_checkpoint_and_keeps_nobody_waiting()
    {
        var (spec, folder) = (Spec("full", "sharded") with { Checkpoint = new() { EverySteps = 2, Keep = 9 } }, Disks(1)[0]);
        var blocked = Path.Combine(new FolderStore(folder).FolderOf(step: 2, generation: 1), ShardFile.NameOf(1, 2));
        Directory.CreateDirectory(blocked); // where a file should be
        using var run = new LocalRun(spec, folder);
        run.Take(2);
        run.Until("all are ready", p => p.Phase == RankPhase.Parked);
        run.Join();

        var end = run.Until("the run ends", p => p.Phase == RankPhase.Finished);

        Assert.Single(end[0].Notes, note => note.Contains("a checkpoint could not be written, training goes on"));
        Assert.Contains(end[0].Notes, note => note.Contains("rank 1 could not write or bring its part: ") && note.Contains(blocked));
        Assert.Contains(new FolderStore(folder).Complete(), one => one.Step > 2);
    }

    private string[] Disks(int count)
    {
        var name = $"recovery-{Interlocked.Increment(ref _names)}";
        return [.. Enumerable.Range(0, count).Select(disk => runs.PathOf(Path.Combine($"{name}-disks", $"{disk}", name)))];
    }
}
