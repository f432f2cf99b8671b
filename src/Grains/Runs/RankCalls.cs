using Microsoft.Extensions.Logging;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Runs;

/// <summary>
/// Sends a coordinator's commands without waiting for them. A rank that cannot be told to prepare or to begin is reported back to the
/// coordinator as lost; the other commands are said again or made up for elsewhere.
/// </summary>
internal sealed class RankCalls(IGrainFactory grains, IRunGrain coordinator, ILogger log)
{
    public void Prepare(string run, RankPlace place, Preparation preparation) =>
        _ = SendOrLoseAsync(run, place, preparation.Generation, rank => rank.PrepareAsync(preparation));

    public void Begin(string run, RankPlace place, Assignment assignment) =>
        _ = SendOrLoseAsync(run, place, assignment.Generation, rank => rank.BeginAsync(assignment));

    /// <summary>If it is lost, the rank's next report says that it still waits.</summary>
    public void PassBarrier(string run, RankPlace place, long generation, int epoch) =>
        _ = SendAsync(place.Rank, place.Node, () => grains.GetRank(run, place.Rank, place.Node).PassBarrierAsync(generation, epoch));

    /// <summary>If it is lost, the rank's next report after the end is answered stale.</summary>
    public void Abort(string run, RankPlace place, long generation, string reason) =>
        _ = SendAsync(place.Rank, place.Node, () => grains.GetRank(run, place.Rank, place.Node).AbortAsync(generation, reason));

    /// <summary>If it is lost, the cluster asks what became of the run.</summary>
    public void Release(RunStatus final) => _ = SendAsync(-1, "cluster", () => grains.GetCluster().ReleaseAsync(final));

    private async Task SendOrLoseAsync(string run, RankPlace place, long generation, Func<IRankGrain, Task> call)
    {
        try
        {
            await call(grains.GetRank(run, place.Rank, place.Node));
        }
        catch (Exception e) // whatever it was, the rank did not begin, and the run must hear of it
        {
            await SendAsync(place.Rank, place.Node, () => coordinator.RankLostAsync(generation, place.Rank, e.Message));
        }
    }

    private async Task SendAsync(int rank, string node, Func<Task> call)
    {
        try
        {
            await call();
        }
        catch (Exception e) // nobody waits for the outcome; each caller says above what makes up for it
        {
            log.CallFailed(rank, node, e.Message);
        }
    }
}
