using Microsoft.Extensions.Logging;
using Orleans.Placement;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Ranks;

/// <summary>
/// Control plane for one rank. Owns no tensors and runs no step: it hands the node's <see cref="IRankWorkers"/> what the coordinator
/// decides, each thing once, however often it is said.
/// </summary>
[NodePlacement, Immovable]
[KeepAlive] // it remembers what was said already, and hours may lie between two calls
internal sealed class RankGrain(IRankWorkers workers, ILogger<RankGrain> log) : Grain, IRankGrain
{
    private RankKey _key;
    private long _generation;        // newest that the rank was prepared for
    private long _aborted;           // this one and all older are over
    private int _passedEpoch;
    private Task<RankJoin>? _preflight;
    private Task _joining = Task.CompletedTask;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _key = RankKey.TryParse(this.GetPrimaryKeyString(), out var key)
            ? key.Value
            : throw new OrleansException("placed without a rank's key.");
        return Task.CompletedTask;
    }

    public Task<Answer> PrepareAsync(Preparation preparation)
    {
        if (preparation.Generation < _generation || preparation.Generation <= _aborted) return Task.FromResult(Answer.Stale);
        if (preparation.Generation > _generation)
        {
            (_generation, _passedEpoch) = (preparation.Generation, -1);
            _preflight = PreflightOnItsOwnThread(preparation);
        }
        if (_joining.IsCompleted) _joining = JoinAsync(_preflight!);
        return Task.FromResult(Answer.Accepted);
    }

    public Task<Answer> BeginAsync(Assignment assignment)
    {
        var (id, addresses) = (Id(assignment.Generation), assignment.Addresses);
        var begins = IsCurrent(assignment.Generation) && workers.Begin(id, addresses.Count, addresses, assignment.Output);
        return Task.FromResult(begins ? Answer.Accepted : Answer.Stale);
    }

    public Task<Answer> PassBarrierAsync(long generation, int epoch)
    {
        if (!IsCurrent(generation)) return Task.FromResult(Answer.Stale);
        if (epoch > _passedEpoch) workers.PassBarrier(Id(generation), epoch);
        _passedEpoch = Math.Max(_passedEpoch, epoch);
        return Task.FromResult(Answer.Accepted);
    }

    public Task AbortAsync(long generation, string reason)
    {
        _aborted = Math.Max(_aborted, generation);
        foreach (var (id, _) in workers.Progress())
            if (id.Run == _key.Run && id.Rank == _key.Rank && id.Generation <= generation) workers.Abort(id, reason);
        return Task.CompletedTask;
    }

    /// <summary>On a thread of the pool: a disk may be slow, and the grain must hear of an abort.</summary>
    public Task RecordAsync(RunEnd end) => Task.Run(() => EndRecord.Write(end));

    /// <summary>A preflight loads libraries and reads files for seconds: neither the grain nor the thread pool may wait for it.</summary>
    private Task<RankJoin> PreflightOnItsOwnThread(Preparation preparation) => Task.Factory.StartNew(
        () => Preflight(preparation), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private RankJoin Preflight(Preparation preparation)
    {
        try
        {
            var address = workers.Prepare(Id(preparation.Generation), preparation.SpecJson, preparation.Collective);
            return new(preparation.Generation, _key.Rank, address, []);
        }
        catch (InputException e)
        {
            return new(preparation.Generation, _key.Rank, "", e.Problems);
        }
        catch (Exception e) // the top of this thread: the coordinator must hear of it
        {
            log.PreflightBroke(e, _key.Rank, _key.Run);
            return new(preparation.Generation, _key.Rank, "", [$"{e.GetType().Name}: {e.Message}"]);
        }
    }

    private async Task JoinAsync(Task<RankJoin> preflight)
    {
        var join = await preflight;
        try
        {
            var answer = join.Generation <= _aborted ? Answer.Stale : await GrainFactory.GetRun(_key.Run).JoinAsync(join);
            if (answer == Answer.Stale && join.Problems.Count == 0) workers.Abort(Id(join.Generation), "the run went on without this rank");
        }
        catch (Exception e) // nobody waits for this task; the node's report or the coordinator's next Prepare makes up for it
        {
            log.JoinFailed(_key.Rank, _key.Run, e.Message);
        }
    }

    /// <summary>An activation that has just begun, in place of one that broke, knows of no generation yet: the node's workers do.</summary>
    private bool IsCurrent(long generation) => generation >= _generation && generation > _aborted;

    private RankId Id(long generation) => new(_key.Run, generation, _key.Rank);
}
