using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Protocol;
using Phi3VCluster.Grains.Runs;

namespace Phi3VCluster.Grains.Tests.Protocol;

public sealed class FailurePolicyTests
{
    private static readonly Breakup Echo = Breakup.Of(BreakupKind.Echo, "it broke") with
    {
        Faults = [new("rank 0", "it broke", IsEcho: true)],
    };

    private static readonly Breakup Loss = Breakup.Of(BreakupKind.Loss, "n2 was lost");

    [Fact]
    public void The_end_with_most_broken_connections_is_left_out_and_of_two_the_younger()
    {
        Assert.Equal(2, LeftOut(new Edge(0, 2), new Edge(1, 2)));
        Assert.Equal(1, LeftOut(new Edge(0, 1), new Edge(1, 2)));
        Assert.Equal(5, LeftOut(new Edge(3, 5)));
        Assert.Equal(4, LeftOut(new Edge(3, 4), new Edge(4, 3), new Edge(4, 2))); // both ends tell of one

        static int? LeftOut(params Edge[] edges) => Regroup(Echo with { Edges = [.. edges] }).LeaveOut;
    }

    [Fact]
    public void Nobody_is_left_out_for_the_echoes_of_a_loss() =>
        Assert.Null(Regroup(Loss with { Edges = [new(0, 1)], Faults = Echo.Faults }).LeaveOut);

    [Fact]
    public void Whoever_cannot_be_spared_is_tried_once_more()
    {
        var first = Regroup(Echo with { Edges = [new(0, 1)] }, canSpareOne: false);
        Assert.Null(first.LeaveOut);

        Assert.Equal(1, Regroup(Echo with { Edges = [new(0, 1)] }, first.Budget, canSpareOne: false).LeaveOut);
    }

    [Fact]
    public void Whoever_may_just_have_left_is_tried_once_more()
    {
        var refused = Echo with { Edges = [new(0, 1, IsSure: false)] };
        var first = Regroup(refused);
        Assert.Null(first.LeaveOut);

        Assert.Equal(1, Regroup(refused, first.Budget).LeaveOut);
        Assert.Equal(2, Regroup(Echo with { Edges = [new(0, 1, IsSure: false), new(0, 2)] }).LeaveOut);
    }

    [Fact]
    public void Three_echoes_in_a_row_without_progress_end_the_run_and_losses_have_a_budget_of_their_own()
    {
        var budget = Regroup(Echo, Regroup(Echo).Budget).Budget;
        Assert.IsType<Verdict.End>(FailurePolicy.Decide(Echo, budget, hasProgressed: false, survivors: 2, canSpareOne: true));
        Assert.IsType<Verdict.Regroup>(FailurePolicy.Decide(Echo, budget, hasProgressed: true, survivors: 2, canSpareOne: true));
        Assert.IsType<Verdict.Regroup>(FailurePolicy.Decide(Loss, budget, hasProgressed: false, survivors: 2, canSpareOne: true));

        budget = default;
        for (var loss = 0; loss < 10; loss++) budget = Regroup(Loss, budget).Budget;
        Assert.IsType<Verdict.End>(FailurePolicy.Decide(Loss, budget, hasProgressed: false, survivors: 2, canSpareOne: true));
    }

    [Fact]
    public void Where_every_seat_failed_by_itself_there_is_nothing_to_go_on_with()
    {
        var fault = Breakup.Of(BreakupKind.Fault, "n1 had a fault") with { Faults = [new("rank 0", "out of memory")] };

        Assert.IsType<Verdict.End>(FailurePolicy.Decide(fault, default, hasProgressed: true, survivors: 0, canSpareOne: false));
        Assert.IsType<Verdict.Regroup>(FailurePolicy.Decide(fault, default, hasProgressed: true, survivors: 1, canSpareOne: false));
        Assert.IsType<Verdict.Regroup>(FailurePolicy.Decide(Loss, default, hasProgressed: true, survivors: 0, canSpareOne: false));
    }

    [Fact]
    public void The_furthest_state_is_taken_and_ties_are_decided_alike()
    {
        Assert.Equal(1, Source((0, Offer(4, live: true)), (1, Offer(5, live: false))));
        Assert.Equal(1, Source((0, Offer(5, live: false)), (1, Offer(5, live: true))));
        Assert.Equal(1, Source((0, Offer(5, generation: 2)), (1, Offer(5, generation: 3))));
        Assert.Equal(0, Source((1, Offer(5)), (0, Offer(5))));
        Assert.Equal(1, Source((0, Offer(5)), (1, Offer(5, ReportedStage.Export))));

        static int Source(params (int, ReportedOffer)[] offers) => RestorePlan.Of(offers, []).Source;
    }

    [Fact]
    public void A_report_that_comes_late_or_twice_changes_nothing()
    {
        var (now, timings) = (DateTimeOffset.UnixEpoch, new RunTimings());
        var run = Rendezvous.New(new(1, 1)).Apply(Heard.Nothing(now), new RunEvent.Tended([new(0, "n1", "s1")], [], []), now, timings);
        run = Report(run, 2, ReportedPhase.Parked);
        Assert.Equal(2, run.State.Generation); // above that of the offer

        var late = Report(run, 1, ReportedPhase.Failed);

        Assert.Same(run.State, late.State);
        Assert.Empty(late.Commands);
        Assert.Empty(Report(run, 2, ReportedPhase.Parked).Commands);
        Assert.Single(Report(run, 3, ReportedPhase.Parked).Commands); // it did not hear that it should join

        Decision Report(Decision before, long number, ReportedPhase phase) => before.State.Apply(
            before.Heard, new RunEvent.Reported("s1", number, [new() { Seat = 0, Phase = phase, Offer = Offer(0) }]), now, timings);
    }

    private static Verdict.Regroup Regroup(Breakup breakup, Budget budget = default, bool canSpareOne = true) =>
        Assert.IsType<Verdict.Regroup>(FailurePolicy.Decide(breakup, budget, hasProgressed: false, survivors: 2, canSpareOne));

    private static ReportedOffer Offer(long step, ReportedStage stage = ReportedStage.Step, long generation = 1, bool live = true) =>
        new("a", generation, step, stage, live, "same");
}
