using Microsoft.Extensions.Logging;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Runs;

/// <summary>
/// Sends a coordinator's commands without waiting for them. One that is lost costs a second: the rank's next report shows that it did not
/// hear it, or it is asked again while it gathers. A rank that answers "stale" is lost: it holds this generation to be over.
/// </summary>
internal sealed class RankCalls(IGrainFactory grains, IRunGrain coordinator, ILogger log)
{
    /// <summary>A command is handed over, not carried out, before it is answered: a node that does not answer is frozen or gone.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    public void Prepare(string run, RankPlace place, Preparation preparation) =>
        _ = TellAsync(run, place, preparation.Generation, rank => rank.PrepareAsync(preparation));

    public void Begin(string run, RankPlace place, Assignment assignment) =>
        _ = TellAsync(run, place, assignment.Generation, rank => rank.BeginAsync(assignment));

    public void PassBarrier(string run, RankPlace place, long generation, int epoch) =>
        _ = TellAsync(run, place, generation, rank => rank.PassBarrierAsync(generation, epoch));

    public void Abort(string run, RankPlace place, long generation, string reason) =>
        _ = TellAsync(run, place, generation, async rank =>
        {
            await rank.AbortAsync(generation, reason);
            return Answer.Accepted;
        });

    /// <summary>By the first node of the run that can.</summary>
    public void Record(string run, IReadOnlyList<RankPlace> places, RunEnd end) => _ = RecordAsync(run, places, end);

    /// <summary>If it is lost, the cluster asks what became of the run.</summary>
    public void Release(RunStatus final) => _ = ReleaseAsync(final);

    private async Task TellAsync(string run, RankPlace place, long generation, Func<IRankGrain, Task<Answer>> command)
    {
        try
        {
            var answer = await command(grains.GetRank(run, place.Rank, place.Node)).WaitAsync(Patience);
            if (answer == Answer.Stale) await LoseAsync(place, generation, "it holds this generation to be over");
        }
        catch (Exception e) when (e is TimeoutException or OrleansException) // the way there broke; whether for good, the cluster finds out
        {
            log.CallFailed(place.Rank, place.Node, e.Message);
        }
        catch (Exception e) // the rank's own: it would say the same again
        {
            log.CallFailed(place.Rank, place.Node, e.Message);
            await LoseAsync(place, generation, e.Message);
        }
    }

    private async Task LoseAsync(RankPlace place, long generation, string reason)
    {
        try
        {
            await coordinator.RankLostAsync(generation, place.Rank, reason);
        }
        catch (Exception e) // the coordinator could not store it and starts anew: it then says everything again
        {
            log.CallFailed(place.Rank, place.Node, e.Message);
        }
    }

    private async Task RecordAsync(string run, IReadOnlyList<RankPlace> places, RunEnd end)
    {
        foreach (var place in places.DistinctBy(p => p.Node))
        {
            try
            {
                await grains.GetRank(run, place.Rank, place.Node).RecordAsync(end).WaitAsync(Patience);
                return;
            }
            catch (Exception e) // a lost node, a full disk: another may have the folder too
            {
                log.RecordFailed(run, place.Node, e.Message);
            }
        }
    }

    private async Task ReleaseAsync(RunStatus final)
    {
        try
        {
            await grains.GetCluster().ReleaseAsync(final).WaitAsync(Patience);
        }
        catch (Exception e) // nobody waits for the outcome
        {
            log.ReleaseFailed(final.Run, e.Message);
        }
    }
}
