using Microsoft.Extensions.Logging;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Protocol;

namespace Phi3VCluster.Grains.Runs;

/// <summary>
/// Sends a coordinator's orders without waiting for them, a node at a time. One that is lost costs a second: the seat's next report shows
/// that it did not hear it, and one that was not heard of is told again that it is taken.
/// </summary>
/// <param name="refused">Told of seats that refused to join: what they offered is not so any more.</param>
internal sealed class RankCalls(IGrainFactory grains, Action<IReadOnlyList<int>> refused, ILogger log)
{
    /// <summary>An order is handed over, not carried out, before it is answered: a node that does not answer is frozen or gone.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    public void Send(string run, long version, IEnumerable<(Seat Seat, RankOrder Order)> orders)
    {
        foreach (var node in orders.GroupBy(order => (order.Seat.Node, order.Seat.Silo)))
            _ = SendAsync(node.Key.Node, new(run, node.Key.Silo, version, [.. node.Select(order => order.Order)]));
    }

    /// <summary>By the first node that can.</summary>
    public void Record(string run, IReadOnlyList<SeatPlace> places, RunEnd end) => _ = RecordAsync(run, places, end);

    /// <summary>If it is lost, the cluster asks what became of the run.</summary>
    public void Release(RunStatus final) => _ = ReleaseAsync(final);

    private async Task SendAsync(string node, NodeOrders orders)
    {
        try
        {
            // Any of the node's seats takes all of them; the first one's grain is as good as another.
            var answer = await grains.GetRank(orders.Run, orders.Orders[0].Seat, node).ObeyAsync(orders).WaitAsync(Patience);
            if (answer.Count == 0) return;
            log.OrdersRefused(orders.Run, node, string.Join(", ", answer));
            refused([.. orders.Orders.Where(order => order is JoinOrder && answer.Contains(order.Seat)).Select(order => order.Seat)]);
        }
        catch (Exception e) // the way there broke; whether for good, the cluster finds out
        {
            log.CallFailed(orders.Run, node, e.Message);
        }
    }

    private async Task RecordAsync(string run, IReadOnlyList<SeatPlace> places, RunEnd end)
    {
        foreach (var place in places.DistinctBy(p => p.Node))
        {
            try
            {
                await grains.GetRank(run, place.Seat, place.Node).RecordAsync(end).WaitAsync(Patience);
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
