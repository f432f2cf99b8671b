using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Runs;

namespace Phi3VCluster.Grains.Tests.Cluster;

public sealed class RunProgressTests
{
    [Fact]
    public void A_run_that_went_back_to_a_checkpoint_is_in_the_epoch_of_that()
    {
        var progress = new RunProgress().With(Report(step: 45, epoch: 4)).At(new(2, 1, "n2 was lost", FirstStep: 21, Seconds: 1));

        Assert.Equal(20, progress.Step);
        Assert.Equal((21, 2), progress.With(Report(step: 21, epoch: 2)) is var later ? (later.Step, later.Epoch) : default);
    }

    [Theory]
    [InlineData(ReportedPhase.Stopped)]
    [InlineData(ReportedPhase.Failed)]
    public void The_last_words_of_a_seat_tell_of_its_last_step_and_not_of_the_runs_phase(ReportedPhase phase)
    {
        var progress = new RunProgress().With(Report(step: 40, epoch: 4)).With(Report(step: 41, epoch: 4) with { Phase = phase });

        Assert.Equal((41, ReportedPhase.Training), (progress.Step, progress.Phase));
    }

    private static RankReport Report(long step, int epoch) =>
        new() { Seat = 0, Rank = 0, Phase = ReportedPhase.Training, Step = step, Epoch = epoch };
}
