using Phi3VCluster.Grains.Tests.Processes;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>
/// What the control plane relies on in a node's ranks. The test fake and the real ones pass the same tests: a fake that is kinder than
/// the truth proves nothing.
/// </summary>
public abstract class RankWorkersContract : IDisposable
{
    private static readonly RankId Id = new("run", Generation: 1, Rank: 0);

    private protected TinyRuns Tiny { get; }

    private protected string Folder { get; } = Directory.CreateTempSubdirectory("phi3v-").FullName;

    protected RankWorkersContract() => Tiny = new(Folder);

    public virtual void Dispose() => Directory.Delete(Folder, recursive: true);

    private protected abstract IRankWorkers Workers { get; }

    /// <summary>Makes the next preflight fail.</summary>
    private protected abstract string BadSpec();

    [Fact]
    public void A_prepared_rank_reports_its_address_and_holds_its_place()
    {
        var address = Prepare();

        var progress = Assert.Single(Workers.Progress());
        Assert.Equal((Id, RankPhase.Prepared, address), (progress.Id, progress.Phase, progress.Address));
        Assert.NotEqual("", address);
        Assert.Equal([Id], Workers.Occupied());
    }

    [Fact]
    public void Prepared_again_it_answers_as_before()
    {
        var address = Prepare();

        Assert.Equal(address, Prepare());
        Assert.Single(Workers.Progress());
        Begin(alone: false);
        Assert.Equal(address, Prepare());
    }

    [Fact]
    public void A_failed_preflight_holds_nothing()
    {
        Assert.Throws<InputException>(() => Workers.Prepare(Id, BadSpec(), "tcp"));

        Assert.Empty(Workers.Progress());
        Assert.Empty(Workers.Occupied());
        Assert.False(Begin());
    }

    [Fact]
    public void Only_a_prepared_rank_begins()
    {
        Assert.False(Begin());
        Assert.Empty(Workers.Progress());
    }

    [Fact]
    public void A_rank_begins_once_however_often_it_is_told_to()
    {
        Prepare();

        Assert.True(Begin());
        Assert.True(Begin());
        Assert.NotEqual(RankPhase.Prepared, Assert.Single(Workers.Progress()).Phase);
    }

    [Fact]
    public void A_prepared_rank_that_is_aborted_gives_its_place_back_and_does_not_begin()
    {
        Prepare();

        Workers.Abort(Id, "no more");

        var progress = Assert.Single(Workers.Progress());
        Assert.Equal((RankPhase.Stopped, "no more"), (progress.Phase, progress.Error));
        Assert.Empty(Workers.Occupied());
        Assert.False(Begin());
    }

    [Fact]
    public void A_prepared_rank_that_is_forgotten_is_gone()
    {
        Prepare();

        Workers.Forget(Id);

        Assert.Empty(Workers.Progress());
        Assert.Empty(Workers.Occupied());
        Assert.False(Begin());
    }

    [Fact]
    public void A_generation_that_is_over_is_refused()
    {
        Prepare(generation: 2);

        Assert.Throws<InputException>(() => Prepare(generation: 1));
        Assert.False(Begin());
        Assert.Equal(2, Assert.Single(Workers.Progress()).Id.Generation);
    }

    [Fact]
    public async Task A_running_rank_that_is_aborted_stops_with_the_reason_and_leaves_its_place()
    {
        var reports = 0;
        Workers.ReportSoon += () => Interlocked.Increment(ref reports);
        Prepare();
        Begin(alone: false);
        Assert.Equal([Id], Workers.Occupied());

        Workers.Abort(Id, "no more");

        await Eventually.SeeAsync("it stops", () => Workers.Progress() is [{ Phase: RankPhase.Stopped, Error: "no more" }]);
        await Eventually.SeeAsync("it leaves its place", () => Workers.Occupied().Count == 0);
        Assert.NotEqual(0, reports);
        Workers.Forget(Id);
        Assert.Empty(Workers.Progress());
    }

    [Fact]
    public async Task A_running_rank_that_is_forgotten_ends()
    {
        Prepare();
        Begin(alone: false);

        Workers.Forget(Id);

        Assert.Empty(Workers.Progress());
        await Eventually.SeeAsync("it leaves its place", () => Workers.Occupied().Count == 0);
    }

    private string Prepare(long generation = 1) =>
        Workers.Prepare(Id with { Generation = generation }, RunSpecJson.ToText(Tiny.Spec(ranks: 1)), "tcp");

    /// <param name="alone">False: it waits for a peer that never comes.</param>
    private bool Begin(bool alone = true)
    {
        string own = Workers.Progress() is [var rank] ? rank.Address : "tcp://nobody";
        return Workers.Begin(Id, alone ? 1 : 2, alone ? [own] : [own, own], Path.Combine(Folder, "output", "run"));
    }
}

public sealed class FakeWorkersTests : RankWorkersContract
{
    private readonly FakeWorkers _workers = new(1);

    private protected override IRankWorkers Workers => _workers;

    private protected override string BadSpec()
    {
        _workers.Problem = "model.path: no such folder.";
        return "{}";
    }
}

public sealed class RealWorkersTests : RankWorkersContract
{
    private readonly RankWorkers _workers = new(1);

    private protected override IRankWorkers Workers => _workers;

    public override void Dispose()
    {
        _workers.Dispose();
        base.Dispose();
    }

    private protected override string BadSpec() => RunSpecJson.ToText(Tiny.Spec(ranks: 1) with { Model = new() { Path = "/nowhere" } });
}
