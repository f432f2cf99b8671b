using Orleans.Placement;
using Orleans.Runtime.Placement;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Ranks;

/// <summary>Places a grain on the node that its key names, and nowhere else.</summary>
[GenerateSerializer, Alias("phi3v.NodePlacement")]
internal sealed class NodePlacement : PlacementStrategy;

[AttributeUsage(AttributeTargets.Class)]
internal sealed class NodePlacementAttribute() : PlacementAttribute(new NodePlacement());

internal sealed class NodePlacementDirector(IClusterMembershipService membership) : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        var text = target.GrainIdentity.Key.ToString();
        if (GrainKeys.NodeOf(text) is not { } node) throw new OrleansException($"'{text}' names no node; it must end with @node.");
        var active = membership.CurrentSnapshot.Members.Values.Where(m => m.Status == SiloStatus.Active).ToList();
        return active.Find(m => m.Name == node) is { } member
            ? Task.FromResult(member.SiloAddress)
            : throw new OrleansException(
                $"node '{node}' is not in the cluster; its nodes are {string.Join(", ", active.Select(m => m.Name).Order())}.");
    }
}
