using System.Diagnostics;
using Orleans.Placement;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Ranks;

/// <summary>
/// Control plane of a run's seats on this node. Owns no tensors, runs no step and remembers nothing: it hands the node's
/// <see cref="IRankWorkers"/> what the coordinator orders, and these know what is old.
/// </summary>
[NodePlacement, Immovable]
internal sealed class RankGrain(IRankWorkers workers, ILocalSiloDetails silo) : Grain, IRankGrain
{
    public Task<IReadOnlyList<int>> ObeyAsync(NodeOrders orders)
    {
        if (orders.Orders.All(order => order is LeaveOrder)) DeactivateOnIdle(); // hardly anything will come for this seat
        // Meant for the node's earlier silo: its seats went with it.
        var isOther = orders.Silo != silo.SiloAddress.ToParsableString();
        IReadOnlyList<int> refused = [.. orders.Orders.Where(order => isOther || !Obey(orders, order)).Select(order => order.Seat)];
        return Task.FromResult(refused);
    }

    /// <summary>On a thread of the pool: a disk may be slow, and the grain must hear of other orders.</summary>
    public Task RecordAsync(RunEnd end)
    {
        DeactivateOnIdle();
        return Task.Run(() => EndRecord.Write(end));
    }

    internal static ShardPlan? Of(ShardSources? shards) => shards is null ? null : new(
        new(shards.Generation, shards.Step), shards.WorldSize, shards.Words,
        [.. shards.Holders.Select(holder => new ShardHolder(holder.Rank, holder.Courier, holder.Member))]);

    private bool Obey(NodeOrders orders, RankOrder order)
    {
        var (id, version) = (new SeatId(orders.Run, order.Seat), orders.Version);
        return order switch
        {
            TakeOrder o => workers.Take(id, version, new(o.SpecJson, o.Collective, o.Output)),
            JoinOrder o => workers.Join(id, version, new(o.Generation, o.Rank, o.Addresses, o.Source, o.Cause, Of(o.Shards))),
            PartOrder o => workers.Part(id, version, o.Generation),
            BreakOrder o => workers.Break(id, version, o.Generation, o.Reason),
            KeepOrder => workers.Keep(id, version),
            LeaveOrder o => workers.Leave(id, version, o.Reason),
            _ => throw new UnreachableException(order.GetType().Name), // a new order must decide here
        };
    }
}
