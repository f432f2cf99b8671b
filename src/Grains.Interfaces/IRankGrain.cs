namespace Phi3VCluster.Grains.Interfaces;

/// <summary>
/// Control plane of a seat, on the seat's own node. Its key is a <see cref="SeatKey"/>. It hands over what the coordinator orders, for
/// this seat and the run's others on the node; every call returns at once and may be repeated.
/// </summary>
[Alias("phi3v.IRankGrain")]
public interface IRankGrain : IGrainWithStringKey
{
    /// <returns>Seats that refused: the coordinator's view of them is old, and their next report is newer.</returns>
    [Alias("Obey")]
    Task<IReadOnlyList<int>> ObeyAsync(NodeOrders orders);

    /// <summary>Writes down, in the run's folder of results, how a run ended that leaves no report.</summary>
    [Alias("Record")]
    Task RecordAsync(RunEnd end);
}
