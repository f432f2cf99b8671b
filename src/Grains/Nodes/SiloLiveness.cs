namespace Phi3VCluster.Grains.Nodes;

/// <summary>Which silos this silo believes to be alive.</summary>
internal sealed class SiloLiveness(IClusterMembershipService membership)
{
    /// <summary>Addresses, with their generation, of the silos that take runs.</summary>
    public IEnumerable<string> Active =>
        membership.CurrentSnapshot.Members.Values.Where(m => m.Status == SiloStatus.Active).Select(m => m.SiloAddress.ToParsableString());

    /// <param name="silo">An address with its generation, so that a restarted silo is another one.</param>
    public bool IsAlive(string silo) =>
        membership.CurrentSnapshot.Members.TryGetValue(SiloAddress.FromParsableString(silo), out var member)
        && member.Status is SiloStatus.Active or SiloStatus.ShuttingDown or SiloStatus.Stopping;

    /// <summary>
    /// Whether a silo is known to have died, or its node has another by now. One that was never heard of is not: it may have joined
    /// just now.
    /// </summary>
    public bool IsDead(string silo)
    {
        var members = membership.CurrentSnapshot.Members;
        var address = SiloAddress.FromParsableString(silo);
        return members.TryGetValue(address, out var member)
            ? member.Status == SiloStatus.Dead
            : members.Keys.Any(other => other.Endpoint.Equals(address.Endpoint) && other.Generation > address.Generation);
    }
}
