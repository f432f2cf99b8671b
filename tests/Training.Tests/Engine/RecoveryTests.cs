using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Optim;
using Phi3VCluster.Training.Tests.Collectives;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>
/// A run that loses and gains seats, or all of them, trains what it would have trained anyway: the same samples, each once an epoch,
/// and the same losses; to the last bit where the number of ranks is the same.
/// </summary>
[Collection<AloneCollection>]
public sealed partial class RecoveryTests(SmallRuns runs, ITestOutputHelper output) : IClassFixture<SmallRuns>, IDisposable
{
    private const double Rounding = 1e-5;

    private static int _names;

    private readonly List<SeatMetrics> _metrics = []; // of homes without a seat's thread: a seat that never leaves blurs others' peaks

    public static TheoryData<string, string> Kinds() => new()
    {
        { "lora", "replicated" }, { "full", "replicated" }, { "full", "sharded" }, { "qlora", "sharded" },
    };

    public void Dispose() => _metrics.ForEach(one => one.Dispose());

    [Theory, MemberData(nameof(Kinds))]
    public void Ranks_that_part_at_a_boundary_go_on_to_the_last_bit(string method, string state)
    {
        using var run = Begin(Spec(method, state), seats: 2, out var output);

        run.Part(seat: 1);
        var parked = run.Until("all park", p => p.Phase == RankPhase.Parked);
        Assert.Equal(parked[0].Step, parked[1].Step);
        Assert.All(parked, p => Assert.Equal((FaultKind.None, p.Step), (p.Fault, HeldStep(p.Offer!))));
        End(run);

        Same(Whole(method, state, seats: 2), output, exactly: true);
    }

    /// <summary>Where the one seat of a run drains, there are two for a while, and a step may have but one sample.</summary>
    [Fact]
    public void A_seat_hands_its_state_over_to_one_that_has_no_sample()
    {
        var spec = Spec("lora", "replicated");
        spec = spec with { Batch = spec.Batch with { Global = 1 }, Cluster = new() { MaxRanks = 1, State = "replicated" } };
        using var alone = Begin(spec, seats: 1, out var expected);
        alone.Until("the run ends", p => p.Phase == RankPhase.Finished);
        using var run = Begin(spec, seats: 1, out var output);

        run.Part(seat: 0);
        run.Take(1);
        run.Until("both park", p => p.Phase == RankPhase.Parked);
        run.Join("it drains");
        run.Part(seat: 1);
        run.Until("both park", p => p.Phase == RankPhase.Parked);
        run.Leave(seat: 0);
        run.Until("it has left", p => p.Id.Seat == 1 || p.Phase == RankPhase.Stopped);
        End(run, ended: 0);

        Same(expected, output, exactly: false);
    }

    [Theory, MemberData(nameof(Kinds))]
    public void A_rank_that_breaks_off_costs_no_committed_step(string method, string state)
    {
        using var run = Begin(Spec(method, state), seats: 2, out var output);
        run.Until("a step is committed", p => p.Step > 0);

        run.Break(seat: 0);
        var parked = run.Until("all park", p => p.Phase == RankPhase.Parked);
        Assert.Equal(FaultKind.Echo, parked[1].Fault); // its peer left
        if (state == "replicated") Assert.All(parked, p => Assert.Equal((p.Step, true), (p.Offer!.Step, p.Offer.IsLive)));
        End(run);

        Same(Whole(method, state, seats: 2), output, exactly: true);
    }

    [Theory]
    [InlineData("lora")]
    [InlineData("full")]
    public void A_lost_seat_and_a_new_one_change_nothing_but_the_world_size(string method)
    {
        using var run = Begin(Spec(method, "replicated"), seats: 2, out var output);
        run.Until("a step is committed", p => p.Step > 0);

        run.Forget(seat: 0); // it writes no state: as if its node had died
        run.Until("the other parks", p => p.Phase == RankPhase.Parked);
        run.Join("seat 0 was lost");
        run.Take(1);
        run.Until("the new one is ready", p => p.Phase == RankPhase.Parked || p.Id.Seat == 1);
        if (run.Progress.Single(p => p.Id.Seat == 1).Phase != RankPhase.Finished) run.Part(seat: 1);
        run.Until("both are ready", p => p.Phase is RankPhase.Parked or RankPhase.Finished);
        End(run);

        var steps = LocalRun.Steps(output);
        Assert.Contains(1, steps.Select(step => step.GetProperty("world_size").GetInt32()));
        Same(Whole(method, "replicated", seats: 2), output, exactly: false);
    }

    /// <summary>
    /// What a newcomer is given is what the others have, moments and counts too; and the sums go on over as many ranks as before.
    /// </summary>
    [Theory]
    [InlineData("lora")]
    [InlineData("full")]
    [InlineData("qlora")]
    public void New_seats_in_the_places_of_all_that_were_there_go_on_to_the_last_bit(string method)
    {
        var spec = Spec(method, "replicated") with { Epochs = 20 };
        using var expected = Begin(spec, seats: 2, out var whole);
        expected.Until("the run ends", p => p.Phase == RankPhase.Finished);
        using var run = Begin(spec, seats: 2, out var output);
        foreach (var lost in (int[])[0, 1])
        {
            run.Until("steps are committed", p => p.Phase == RankPhase.Training && p.Step > 5 * (lost + 1));
            run.Forget(lost); // it writes no state: as if its node had died
            run.Until("the other parks", p => p.Phase == RankPhase.Parked);
            run.Take(1);
            run.Until("the new one is ready", p => p.Phase == RankPhase.Parked);
            run.Join($"seat {lost} was lost");
        }
        run.Until("the run ends", p => p.Phase == RankPhase.Finished);

        Assert.Equal([1, 2, 3], LocalRun.Steps(output).Select(step => step.GetProperty("generation").GetInt32()).Distinct());
        Same(whole, output, exactly: true);
    }

    [Theory, MemberData(nameof(Kinds))]
    public void A_run_that_lost_all_seats_goes_on_from_its_checkpoint(string method, string state)
    {
        var (same, fewer) = (Whole(method, state, seats: 2), Whole(method, state, seats: 2));
        Assert.NotEmpty(new FolderStore(same).Complete());

        foreach (var (output, seats) in (ReadOnlySpan<(string, int)>)[(same, 2), (fewer, 1)])
        {
            var before = File.ReadAllBytes(Exported(output));
            File.Delete(Exported(output));
            var (later, from) = (new FolderStore(output).Complete()[0], new FolderStore(output).Complete()[^1].Step);
            Directory.Delete(later.Folder, recursive: true);
            using (var run = new LocalRun(Spec(method, state), output))
            {
                run.Take(seats);
                Assert.All(run.Until("all are ready", p => p.Phase == RankPhase.Parked),
                    p => Assert.Equal((from, false), (p.Offer!.Step, p.Offer.IsLive)));
                End(run);
                Assert.True(run.Generation > 1, "the generations of the run are counted on");
            }
            Same(Whole(method, state, seats: 2), output, exactly: seats == 2);
            if (seats == 2) Assert.Equal(before, File.ReadAllBytes(Exported(output)));
        }
    }

    [Fact]
    public void A_seat_that_leaves_before_the_end_leaves_a_checkpoint_of_its_last_step()
    {
        var spec = Spec("lora", "replicated") with { Checkpoint = new() { EverySteps = 1000 } };
        using var run = Begin(spec, seats: 2, out var output);
        run.Until("steps are committed", p => p.Step > 1);

        run.LeaveAll("cancelled");
        var last = run.Until("all end", p => p.Phase == RankPhase.Stopped);

        run.Dispose();
        var kept = Assert.Single(new FolderStore(output).Complete());
        Assert.Equal(last.Max(p => p.Step), kept.Step);
    }

    [Fact]
    public void Ranks_that_hear_nothing_of_their_coordinator_park_at_a_commit_and_go_on_when_they_do()
    {
        var spec = Spec("lora", "replicated") with { Epochs = 100_000, MaxSteps = 2000, Failure = new() { OrphanSeconds = 5 } };
        using var run = new LocalRun(spec, runs.PathOf("orphans")) { Answers = true };
        run.Take(2);
        run.Until("all are ready", p => p.Phase == RankPhase.Parked);
        run.Join();
        run.Until("steps are committed", p => p.Step > 1);

        run.Answers = false;
        var parked = run.Until("all park", p => p.Phase == RankPhase.Parked);
        Assert.Equal(parked[0].Step, parked[1].Step);
        Assert.All(parked, p => Assert.Equal((FaultKind.None, p.Step, true), (p.Fault, p.Offer!.Step, p.Offer.IsLive)));

        run.Answers = true;
        run.Join("it is heard again");
        var going = run.Until("steps are committed", p => p.Phase == RankPhase.Training && p.Step > parked[0].Step + 1);
        Assert.Single(going[0].Notes, note => note.EndsWith("nothing was heard of the coordinator for 5 s, so all ranks parked"));
    }

    /// <summary>Whatever the run was doing when a rank broke off, it is done, and once.</summary>
    [Theory]
    [InlineData(RankPhase.EvaluatingBefore)]
    [InlineData(RankPhase.Exporting)]
    [InlineData(RankPhase.EvaluatingAfter)]
    [InlineData(RankPhase.Finished)]
    public void A_rank_that_breaks_off_in_another_stage_leaves_no_gap(RankPhase when)
    {
        var spec = Spec("lora", "replicated");
        spec = spec with { Data = spec.Data with { Eval = runs.Mixed() }, Evaluation = new() { MaxNewTokens = 2 }, Epochs = 1 };
        using var expected = Begin(spec, seats: 2, out var whole);
        expected.Until("the run ends", p => p.Phase == RankPhase.Finished);
        using var run = Begin(spec, seats: 2, out var output);
        run.UntilAny($"a rank is {when}", p => p.Phase == when || p.Phase == RankPhase.Finished);

        foreach (var seat in run.Progress.Where(p => p.Phase != RankPhase.Parked).ToList()) run.TryBreak(seat.Id.Seat);
        run.Until("all park", p => p.Phase == RankPhase.Parked);
        End(run);

        Same(whole, output, exactly: true);
        foreach (var file in (string[])["eval-before.json", "eval-after.json"])
            Assert.Equal(File.ReadAllText(Path.Combine(whole, file)), File.ReadAllText(Path.Combine(output, file)));
        if (when != RankPhase.Finished) Assert.Contains("the test's will", File.ReadAllText(Path.Combine(output, "report.md")));
    }

    [Fact]
    public void A_torn_state_is_never_offered()
    {
        var (spec, output) = (Spec("full", "replicated"), Whole("full", "replicated", seats: 1));
        using var home = Home(spec, output);
        Assert.Equal((10L, false), (home.Offer("", 1).Step, home.Offer("", 1).IsLive));
        using var ring = new LoopbackCollective(7);
        new StateExchange(home, ring, source: 0, ShardLayout.Replicated(home.State.Parameters.Count)).Run();
        Assert.Equal((10L, true), (home.Offer("", 7).Step, home.Offer("", 7).IsLive));

        home.State.Advance(home.State.Records[^1] with { Step = 11 });
        home.State.Tear();
        home.Park();

        Assert.Equal((10L, false), (home.Offer("", 7).Step, home.Offer("", 7).IsLive)); // the checkpoint's
    }

    [Fact]
    public void A_source_whose_peer_is_lost_while_it_gives_still_has_the_state()
    {
        var (spec, output) = (Spec("full", "replicated"), Whole("full", "replicated", seats: 1));
        var offers = Ranks.Run(new TcpBackend(), 2, ring =>
        {
            using var home = Home(spec, output);
            var layout = ShardLayout.Replicated(home.State.Parameters.Count);
            if (ring.Rank == 0)
            {
                using var alone = new LoopbackCollective(2);
                new StateExchange(home, alone, source: 0, layout).Run(); // has read the checkpoint
            }
            using var breaking = new BreakingCollective(ring, afterLargeSums: 1);
            Assert.Throws<CollectiveException>(() => new StateExchange(home, breaking, source: 0, layout).Run());
            return (home.State.IsWhole, home.State.Position.Step);
        });

        Assert.Equal((true, 10L), offers[0]);
        Assert.False(offers[1].IsWhole);
    }

    [Fact]
    public void Ranks_whose_values_have_come_apart_take_rank_0_s_and_say_so_once()
    {
        var (spec, output) = (Spec("full", "replicated"), Whole("full", "replicated", seats: 1));
        var ends = Ranks.Run(new TcpBackend(), 2, ring =>
        {
            using var home = Home(spec, output);
            new StateExchange(home, ring, source: 0, ShardLayout.Replicated(home.State.Parameters.Count)).Run();
            var check = new ReplicaCheck(home, ring);
            home.State.Advance(home.State.Records[^1] with { Step = 50 });
            var healthy = check.StepCommitted();
            if (ring.Rank == 1) home.State.Parameters.Values.narrow(0, 3, 1).fill_(7);
            var news = new[] { check.StepCommitted(), check.StepCommitted() };
            return (healthy, news[0], news[1], Hash: Convert.ToHexString(home.State.Optimizer.Hash()), home.State.IsWhole);
        });

        Assert.All(ends, end => Assert.Equal((null, null, true), (end.healthy, end.Item3, end.IsWhole)));
        Assert.All(ends, end => Assert.StartsWith("warning: rank 1 held other values than rank 0", end.Item2));
        Assert.Equal(ends[0].Hash, ends[1].Hash);
    }

    /// <summary>
    /// A seat that froze at a commit comes back to others who have done that step again without it: over fewer ranks sums have another
    /// order, and values other last bits.
    /// </summary>
    [Fact]
    public void Ranks_that_committed_a_step_in_two_generations_go_on_from_one_of_them()
    {
        var (spec, output) = (Spec("full", "replicated"), Whole("full", "replicated", seats: 1));
        var ends = Ranks.Run(new TcpBackend(), 2, ring =>
        {
            using var home = Home(spec, output);
            void Exchange() => new StateExchange(home, ring, source: 0, ShardLayout.Replicated(home.State.Parameters.Count)).Run();
            Exchange();
            home.State.Advance(home.State.Records[^1] with { Step = 11, Generation = 2 + ring.Rank });
            if (ring.Rank == 1) home.State.Parameters.Values.narrow(0, 3, 1).fill_(7);
            Exchange();
            return (Hash: Convert.ToHexString(home.State.Optimizer.Hash()), home.State.Records[^1].Generation);
        });

        Assert.Equal(ends[0], ends[1]);
        Assert.Equal(2, ends[0].Generation);
    }

    private RunHome Home(RunSpec spec, string output)
    {
        var metrics = new SeatMetrics(new(output, 0), "here", new());
        lock (_metrics) _metrics.Add(metrics);
        return RunHome.Load(spec, RankCompute.Plain, output, metrics, TestContext.Current.CancellationToken);
    }

    private LocalRun Begin(RunSpec spec, int seats, out string output)
    {
        var run = new LocalRun(spec, output = runs.PathOf($"recovery-{Interlocked.Increment(ref _names)}"));
        run.Take(seats);
        run.Until("all are ready", p => p.Phase == RankPhase.Parked);
        run.Join();
        return run;
    }

    /// <param name="ended">A seat that has left.</param>
    private static IReadOnlyList<RankProgress> End(LocalRun run, int? ended = null)
    {
        run.Join("the test's will");
        return run.Until("the run ends", p => p.Phase == RankPhase.Finished || p.Id.Seat == ended
            ? true
            : p.Error is null ? false : throw new InvalidOperationException($"{p}"));
    }

    /// <summary>
    /// A run from its start to its end, with two checkpoints. One that falls due while the other is being written is left out: on a busy
    /// machine that may be, and then it is run again.
    /// </summary>
    private string Whole(string method, string state, int seats)
    {
        while (true)
        {
            using var run = Begin(Spec(method, state), seats, out var output);
            run.Until("the run ends", p => p.Phase == RankPhase.Finished);
            run.LeaveAll("it has ended");
            run.Until("all leave", p => p.Phase == RankPhase.Stopped);
            if (new FolderStore(output).Complete().Count == 2) return output;
        }
    }

    /// <summary>Four epochs of three steps, with a checkpoint after every fifth.</summary>
    private RunSpec Spec(string method, string state) => runs.Spec with
    {
        Method = new() { Kind = method, Rank = 4 },
        Epochs = 4,
        Cluster = new() { MaxRanks = 2, State = state },
        Checkpoint = new() { EverySteps = 5 },
        Data = runs.Spec.Data with { Shuffle = true },
    };

    private static long HeldStep(Offer offer) => offer.IsLive ? offer.Step : offer.Held![^1].Version.Step;

    private static string Exported(string output) =>
        Path.Combine(output, Directory.Exists(Path.Combine(output, "adapter"))
            ? "adapter/adapter_model.safetensors"
            : "model/model.safetensors");

    private static void Same(string expected, string actual, bool exactly)
    {
        var (one, other) = (LocalRun.Steps(expected), LocalRun.Steps(actual));
        Assert.Equal(one.Select(step => step.GetProperty("step").GetInt64()), other.Select(step => step.GetProperty("step").GetInt64()));
        Assert.Equal(
            one.Select(step => step.GetProperty("sample_ids").ToString()),
            other.Select(step => step.GetProperty("sample_ids").ToString()));
        foreach (var (a, b) in one.Zip(other))
        {
            var (x, y) = (a.GetProperty("loss").GetDouble(), b.GetProperty("loss").GetDouble());
            if (exactly) Assert.Equal(x, y);
            else Assert.Equal(x, y, Rounding * x);
        }
        if (exactly) Assert.Equal(File.ReadAllBytes(Exported(expected)), File.ReadAllBytes(Exported(actual)));
    }
}
