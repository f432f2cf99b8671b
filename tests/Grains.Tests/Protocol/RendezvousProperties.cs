using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Protocol;

namespace Phi3VCluster.Grains.Tests.Protocol;

/// <summary>What holds for every order of events, tried on many random ones.</summary>
public sealed class RendezvousProperties
{
    private const int Ranks = 3;

    public static TheoryData<int> Seeds() => [.. Enumerable.Range(0, 200)];

    [Theory, MemberData(nameof(Seeds))]
    public void A_run_ends_once_and_releases_its_ranks_once(int seed)
    {
        var (steps, last) = Play(seed);

        var ends = steps.Count(s => !s.Before.Phase.IsFinal && s.Decision.State.Phase.IsFinal);
        var releases = steps.Count(s => s.Event is not RunEvent.Reactivated && s.Decision.Commands.OfType<RunCommand.Release>().Any());
        Assert.Equal(last.Phase.IsFinal ? 1 : 0, ends);
        Assert.Equal(ends, releases);
    }

    [Theory, MemberData(nameof(Seeds))]
    public void No_rank_begins_before_all_have_joined(int seed)
    {
        var joined = new HashSet<int>();
        foreach (var step in Play(seed).Steps)
        {
            if (step is { Event: RunEvent.Joined { Generation: 1 } e, Decision.Stale: false }) joined.Add(e.Rank);
            if (step is { Event: RunEvent.Reported { Generation: 1, Phase: ReportedPhase.Prepared } r, Decision.Stale: false })
                joined.Add(r.Rank);
            if (step.Decision.Commands.OfType<RunCommand.Begin>().Any()) Assert.Equal(Ranks, joined.Count);
        }
    }

    [Theory, MemberData(nameof(Seeds))]
    public void No_barrier_is_passed_before_all_ranks_have_reached_it(int seed)
    {
        var reached = new HashSet<(int Rank, int Epoch)>();
        foreach (var step in Play(seed).Steps)
        {
            if (step is { Event: RunEvent.Reported { Generation: 1, Phase: ReportedPhase.AtBarrier } e, Decision.Stale: false })
                reached.Add((e.Rank, e.Epoch));
            foreach (var pass in step.Decision.Commands.OfType<RunCommand.PassBarrier>())
                Assert.Equal(Ranks, reached.Count(r => r.Epoch == pass.Epoch));
        }
    }

    [Theory, MemberData(nameof(Seeds))]
    public void A_report_of_the_generation_that_gathers_or_stops_is_never_stale(int seed) => Assert.All(
        Play(seed).Steps.Where(s => s.Event is RunEvent.Reported { Generation: 1 })
            .Where(s => s.Before.Phase is RunPhase.Gathering or RunPhase.Stopping),
        s => Assert.False(s.Decision.Stale));

    [Theory, MemberData(nameof(Seeds))]
    public void Whoever_did_not_hear_a_command_is_told_again_by_its_next_report(int seed) => Assert.All(
        Play(seed).Steps.Where(s => s.Event is RunEvent.Reported { Generation: 1, Phase: ReportedPhase.Prepared } && !s.Decision.Stale),
        s => Assert.True(s.Before.Phase switch
        {
            RunPhase.Running r => r.Finished.Contains(Rank(s)) || s.Decision.Commands is [RunCommand.Begin b] && b.Place.Rank == Rank(s),
            RunPhase.Stopping p => !p.Remaining.Contains(Rank(s)) || s.Decision.Commands is [RunCommand.Abort a] && a.Place.Rank == Rank(s),
            _ => true,
        }));

    private static int Rank(Step step) => ((RunEvent.Reported)step.Event).Rank;

    [Theory, MemberData(nameof(Seeds))]
    public void A_stale_event_changes_nothing(int seed) => Assert.All(
        Play(seed).Steps.Where(s => s.Decision.Stale),
        s => Assert.True(ReferenceEquals(s.Before, s.Decision.State) && s.Decision.Commands.IsEmpty));

    [Theory, MemberData(nameof(Seeds))]
    public void Every_rank_that_began_and_did_not_end_was_aborted_when_the_run_has_failed(int seed)
    {
        var (steps, last) = Play(seed);
        if (last.Phase is not (RunPhase.Failed or RunPhase.Cancelled) || last.Generation == 0) return;

        var aborted = steps.SelectMany(s => s.Decision.Commands).OfType<RunCommand.Abort>().Select(c => c.Place.Rank);
        var ended = steps.Where(s => !s.Decision.Stale).SelectMany(s => s.Event switch
        {
            RunEvent.Reported { Phase: ReportedPhase.Failed or ReportedPhase.Finished or ReportedPhase.Stopped } e => [e.Rank],
            RunEvent.Refused e => [e.Rank],
            RunEvent.RankLost e => [e.Rank],
            RunEvent.NodeLost e => s.Before.Places.Where(p => p.Silo == e.Silo).Select(p => p.Rank),
            _ => (IEnumerable<int>)[],
        });
        Assert.Equal(Enumerable.Range(0, Ranks), aborted.Concat(ended).Distinct().Order());
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Every_state_survives_its_storage(int seed)
    {
        var serializer = new JsonStateSerializer();
        foreach (var state in Play(seed).Steps.Select(s => s.Decision.State))
        {
            var stored = serializer.Serialize(state);
            var read = serializer.Deserialize<Rendezvous>(stored)!;
            Assert.Equal(state.Phase.GetType(), read.Phase.GetType());
            Assert.Equal(stored.ToString(), serializer.Serialize(read).ToString());
        }
    }

    [Fact]
    public void Every_phase_says_which_state_it_is()
    {
        var phases = typeof(RunPhase).GetNestedTypes().Where(t => t.IsAssignableTo(typeof(RunPhase))).ToList();
        Assert.Equal(7, phases.Count);
        Assert.All(phases, phase => _ = ((RunPhase)System.Runtime.CompilerServices.RuntimeHelpers.GetUninitializedObject(phase)).State);
    }

    private sealed record Step(Rendezvous Before, RunEvent Event, Decision Decision);

    private static (IReadOnlyList<Step> Steps, Rendezvous Last) Play(int seed)
    {
        var random = new Random(seed);
        var state = Rendezvous.New;
        var steps = new List<Step>();
        for (var i = 0; i < 80; i++)
        {
            var happened = Draw(random);
            var decision = state.Apply(happened);
            steps.Add(new(state, happened, decision));
            state = decision.State;
        }
        return (steps, state);
    }

    private static RunEvent Draw(Random random)
    {
        var generation = random.Next(10) == 0 ? random.Next(3) : 1;
        var rank = random.Next(Ranks);
        return random.Next(100) switch
        {
            < 10 => new RunEvent.Leased([.. Enumerable.Range(0, Ranks).Select(r => new RankPlace(r, $"n{r / 2}", $"s{r / 2}"))]),
            < 25 => new RunEvent.Joined(generation, rank, $"a{rank}"),
            < 40 => new RunEvent.Reported(generation, rank, ReportedPhase.Prepared, 0, null, $"a{rank}"),
            < 41 => new RunEvent.Refused(generation, rank, ["no"]),
            < 65 => new RunEvent.Reported(generation, rank, ReportedPhase.AtBarrier, random.Next(1, 3), null),
            < 75 => new RunEvent.Reported(generation, rank, ReportedPhase.Training, random.Next(3), null),
            < 85 => new RunEvent.Reported(generation, rank, ReportedPhase.Finished, 2, null),
            < 88 => new RunEvent.Reported(generation, rank, ReportedPhase.Stopped, 0, null),
            < 90 => new RunEvent.Reported(generation, rank, ReportedPhase.Failed, 0, $"broke {rank}"),
            < 92 => new RunEvent.RankLost(generation, rank, "gone"),
            < 94 => new RunEvent.NodeLost($"s{random.Next(2)}", "lost"),
            < 96 => new RunEvent.TimedOut(generation, (RunTimer)random.Next(3)),
            < 98 => new RunEvent.Reactivated(),
            _ => new RunEvent.CancelRequested(),
        };
    }
}
