using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Training.Tests.Engine;

/// <content>A state that every rank has a part of, with no checkpoint to fall back on.</content>
public sealed partial class RecoveryTests
{
    [Theory]
    [InlineData("full", "step")]
    [InlineData("full", "micro")]
    public void Sharded_ranks_that_part_go_on_from_what_they_hold_in_memory(string method, string reduceEvery)
    {
        using var run = Begin(InMemory(method, reduceEvery), seats: 2, out var folder);
        run.Until("a step is committed", p => p.Step > 0);

        run.Part(seat: 1);
        var parked = run.Until("all park", p => p.Phase == RankPhase.Parked);
        End(run);

        Assert.Empty(new FolderStore(folder).Complete());
        Assert.Equal(parked[0].Step + 1, FirstStepOf(folder, generation: 2));
        Same(Undisturbed(method, reduceEvery, seats: 2), folder, exactly: true);
    }

    [Fact]
    public void A_sharded_state_is_cut_anew_for_fewer_ranks_and_for_more()
    {
        using var run = Begin(InMemory("full", "step"), seats: 3, out var folder);
        run.Until("a step is committed", p => p.Step > 0);

        run.Part(seat: 1);
        var parked = run.Until("all park", p => p.Phase == RankPhase.Parked);
        run.Join("seat 2 leaves", leaving: 2);
        run.UntilAny("the others have what it had", p => p.Id.Seat != 2 && p.Generation == 2 && p.Step > parked[0].Step);
        run.Leave(seat: 2);
        run.Part(seat: 0);
        var again = run.Until("the others park", p => p.Id.Seat == 2 || p.Phase is RankPhase.Parked or RankPhase.Finished);
        if (again.Any(p => p.Phase == RankPhase.Parked))
        {
            run.Take(1);
            run.Until("one is gone, the new one is ready", p => p.Phase == (p.Id.Seat == 2 ? RankPhase.Stopped : RankPhase.Parked));
            run.Join("another came");
            run.Until("the run ends", p => p.Id.Seat == 2 || p.Phase == RankPhase.Finished);
        }

        Assert.Equal(parked[0].Step + 1, FirstStepOf(folder, generation: 2));
        Same(Undisturbed("full", "step", seats: 3), folder, exactly: false);
    }

    [Theory]
    [InlineData("step")]
    [InlineData("micro")]
    public void A_lost_rank_s_part_is_with_its_buddy(string reduceEvery)
    {
        using var run = Begin(InMemory("full", reduceEvery), seats: 3, out var folder);
        run.Until("steps are committed", p => p.Step > 3);

        run.Forget(seat: 1); // nothing of it can be had: as if its node had died
        var parked = run.Until("the others park", p => p.Phase == RankPhase.Parked);
        var reached = parked.Max(p => p.Step);
        Assert.Contains(parked.SelectMany(p => p.Offer!.Held!), held => held.Ranks.Contains(1));
        End(run);

        var first = FirstStepOf(folder, generation: 2);
        output.WriteLine($"step {reached} was committed, {first} is the first of the next generation");
        Assert.InRange(first, Math.Max(2, reached - 2), reached + 1);
        var told = GenerationsOf(folder)[1];
        Assert.Equal(reached + 1 - first, told.GetProperty("steps_lost").GetInt64());
        Same(Undisturbed("full", reduceEvery, seats: 3), folder, exactly: false);
    }

    [Fact]
    public void A_rank_that_breaks_off_while_the_state_is_fetched_costs_nothing()
    {
        using var run = Begin(InMemory("full", "step"), seats: 2, out var folder);
        run.Until("a step is committed", p => p.Step > 0);
        run.Part(seat: 0);
        var parked = run.Until("all park", p => p.Phase == RankPhase.Parked);

        run.Join("one does not come", joins: 1);
        run.Break(seat: 0);
        run.Until("all park", p => p.Phase == RankPhase.Parked);
        End(run);

        Assert.Equal(parked[0].Step + 1, FirstStepOf(folder, generation: 3));
        Same(Undisturbed("full", "step", seats: 2), folder, exactly: true);
    }

    private RunSpec InMemory(string method, string reduceEvery)
    {
        var spec = Spec(method, "sharded");
        return spec with
        {
            Checkpoint = new() { EverySteps = 0 },
            Batch = spec.Batch with { ReduceEvery = reduceEvery },
            Cluster = spec.Cluster with { MaxRanks = 3 },
        };
    }

    private string Undisturbed(string method, string reduceEvery, int seats)
    {
        using var run = Begin(InMemory(method, reduceEvery), seats, out var folder);
        run.Until("the run ends", p => p.Phase == RankPhase.Finished);
        return folder;
    }

    private static IReadOnlyList<JsonElement> GenerationsOf(string output) =>
    [
        .. JsonDocument.Parse(File.ReadAllText(Path.Combine(output, "report.json"))).RootElement
            .GetProperty("generations").EnumerateArray(),
    ];

    private static long FirstStepOf(string output, long generation) => LocalRun.Steps(output)
        .First(step => step.GetProperty("generation").GetInt64() == generation).GetProperty("step").GetInt64();
}
