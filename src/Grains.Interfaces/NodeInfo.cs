namespace Phi3VCluster.Grains.Interfaces;

/// <summary>A node of the cluster.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.NodeInfo")]
public sealed record NodeInfo
{
    /// <summary>Name of the node, and of its silo.</summary>
    [Id(0)] public required string Node { get; init; }
    /// <summary>Address of its silo, with the silo's generation: it is another one after each restart.</summary>
    [Id(1)] public required string Silo { get; init; }
    [Id(2)] public required int ProcessId { get; init; }
    /// <summary>Most ranks it runs at a time.</summary>
    [Id(3)] public required int Ranks { get; init; }
    /// <summary>"cpu", or "cuda" and the card's name; "none" on a node without ranks.</summary>
    [Id(4)] public required string Device { get; init; }
    /// <summary>Set by the cluster: ranks that nobody leases and nobody occupies.</summary>
    [Id(5)] public int Free { get; init; }
    /// <summary>Set by the cluster: the runs that lease ranks here.</summary>
    [Id(6)] public IReadOnlyList<string> LeasedTo { get; init; } = [];
    [Id(7)] public NodeState State { get; init; } = NodeState.Ready;
    /// <summary>Seats that hold something of the node, whether they are leased or not: threads may compute after their run's end.</summary>
    [Id(8)] public IReadOnlyList<OccupiedSeat> Occupied { get; init; } = [];
    /// <summary>When its silo started: what an earlier one says is old.</summary>
    [Id(9)] public DateTimeOffset StartedAt { get; init; }
}

/// <summary>A seat that loads, computes, or frees what it had.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.OccupiedSeat")]
public sealed record OccupiedSeat(
    [property: Id(0)] string Run,
    [property: Id(1)] int Seat);

/// <summary>What a node takes part in.</summary>
[GenerateSerializer, Alias("phi3v.NodeState")]
public enum NodeState
{
    /// <summary>Takes runs.</summary>
    Ready,
    /// <summary>Shuts down; takes no new run, and those it has leave it.</summary>
    Stopping,
    /// <summary>Its silo died or has been silent for too long.</summary>
    Lost,
    /// <summary>Somebody asked for it to be emptied: takes no new run, and those it has leave it.</summary>
    Draining,
}
