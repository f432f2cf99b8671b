using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Runs;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Engine.Checks;
using Phi3VCluster.Training.Engine.Jobs;

namespace Phi3VCluster.Grains.Tests;

public sealed class WireTests
{
    [Fact]
    public void The_phases_on_the_wire_are_the_data_planes() => Assert.Equal(
        Enum.GetValues<RankPhase>().Select(p => ((int)p, p.ToString())),
        Enum.GetValues<ReportedPhase>().Select(p => ((int)p, p.ToString())));

    [Fact]
    public void The_stages_on_the_wire_are_the_data_planes() => Assert.Equal(
        Enum.GetValues<TrainingStage>().Select(p => ((int)p, p.ToString())),
        Enum.GetValues<ReportedStage>().Select(p => ((int)p, p.ToString())));

    [Fact]
    public void The_kinds_of_fault_on_the_wire_are_the_data_planes() => Assert.Equal(
        Enum.GetValues<FaultKind>().Select(p => ((int)p, p.ToString())),
        Enum.GetValues<ReportedFault>().Select(p => ((int)p, p.ToString())));

    [Fact]
    public void The_states_of_a_job_on_the_wire_begin_with_the_data_planes() => Assert.Equal(
        Enum.GetValues<JobState>().Select(s => ((int)s, s.ToString())).Append(((int)ModelJobState.Lost, nameof(ModelJobState.Lost))),
        Enum.GetValues<ModelJobState>().Select(s => ((int)s, s.ToString())));

    [Fact]
    public void How_far_a_node_came_is_told_as_the_data_plane_tells_it() => Assert.Equal(
        Enum.GetValues<ReachOutcome>().Select(o => ((int)o, o.ToString())),
        Enum.GetValues<ReportedReachOutcome>().Select(o => ((int)o, o.ToString())));

    [Theory]
    [InlineData("job/0af1@gpu-1", "gpu-1")]
    [InlineData("run/3@gpu-1", "gpu-1")]
    [InlineData("run/3@", null)]
    [InlineData("run", null)]
    [InlineData(null, null)]
    public void A_key_ends_with_its_node(string? key, string? node) => Assert.Equal(node, GrainKeys.NodeOf(key));

    [Theory]
    [InlineData("vqa-20260102-030405-ab12/3@gpu-1", "vqa-20260102-030405-ab12", 3, "gpu-1")]
    [InlineData("a/b/0@n", "a/b", 0, "n")]
    public void A_seat_key_names_run_seat_and_node(string text, string run, int seat, string node)
    {
        Assert.True(SeatKey.TryParse(text, out var key));
        Assert.Equal(new SeatKey(run, seat, node), key);
        Assert.Equal(text, key.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("run")]
    [InlineData("run/1")]
    [InlineData("run@node")]
    [InlineData("run/x@node")]
    [InlineData("run/-1@node")]
    [InlineData("run/1@")]
    [InlineData("/1@node")]
    public void Other_texts_are_no_seat_keys(string text) => Assert.False(SeatKey.TryParse(text, out _));

    [Fact]
    public void The_log_keeps_the_newest_thousand_lines_and_their_numbers()
    {
        var log = RunLog.Empty;
        for (var i = 0; i < 1100; i++) log = log.Add(DateTimeOffset.UnixEpoch, $"line {i}");

        var page = log.From(5);

        Assert.Equal((100, 1000, 1100), (page.First, page.Lines.Count, page.Next));
        Assert.Equal("1970-01-01T00:00:00.000Z line 100", page.Lines[0]);
        Assert.Empty(log.From(1100).Lines);
        Assert.Equal(1100, log.From(5000).Next);
    }

    [Fact]
    public void Progress_never_goes_back_and_a_lagging_rank_adds_nothing()
    {
        var progress = new RunProgress()
            .With(new() { Seat = 4, Rank = 0, Phase = ReportedPhase.Training, Step = 5, TotalSteps = 9, Epoch = 1, Loss = 2 })
            .With(new() { Seat = 4, Rank = 0, Phase = ReportedPhase.Training, Step = 5, EvalBefore = 0.25 })
            .With(new() { Seat = 5, Rank = 1, Phase = ReportedPhase.Joining, Step = 4, TotalSteps = 9, Loss = 3 });

        Assert.Equal((5, 2.0, 0.25, ReportedPhase.Training), (progress.Step, progress.Loss, progress.EvalBefore, progress.Phase));
        Assert.Equal(
            ["anls before training: 0.25", "first of 9 steps committed", "epoch 1 of 2 ended at step 5, loss 2"],
            progress.NewsSince(new RunProgress(), "anls", 2));
    }

    [Fact]
    public void Progress_follows_the_history_when_a_generation_begins_further_back_and_another_rank_0_repeats_no_notes()
    {
        var progress = new RunProgress().With(new() { Seat = 0, Rank = 0, Phase = ReportedPhase.Training, Step = 9, Notes = ["a", "b"] })
            .At(new FormedGeneration(2, 1, "n1 was lost", FirstStep: 6, Seconds: 1))
            .With(new() { Seat = 1, Rank = 0, Phase = ReportedPhase.Joining, Step = 5, Notes = ["b", "c"] });

        Assert.Equal((5, ReportedPhase.Joining), (progress.Step, progress.Phase));
        Assert.Equal(["a", "b", "c"], progress.Notes);
    }
}
