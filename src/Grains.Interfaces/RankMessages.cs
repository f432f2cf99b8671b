namespace Phi3VCluster.Grains.Interfaces;

/// <summary>What a run's coordinator orders on one node.</summary>
/// <param name="Silo">The silo that is meant: a later one of the same node knows nothing of these seats.</param>
/// <param name="Version">Of the coordinator's state that the orders follow from; a seat refuses one lower than any it has seen.</param>
[GenerateSerializer, Immutable, Alias("phi3v.NodeOrders")]
public sealed record NodeOrders(
    [property: Id(0)] string Run,
    [property: Id(1)] string Silo,
    [property: Id(2)] long Version,
    [property: Id(3)] IReadOnlyList<RankOrder> Orders);

/// <summary>An order to one seat, as <see cref="NodeOrders"/> carries it.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.RankOrder")]
public abstract record RankOrder([property: Id(0)] int Seat);

/// <param name="Collective">The collective's name, never "auto".</param>
/// <param name="Output">The run's folder of results, the same for all seats.</param>
[GenerateSerializer, Immutable, Alias("phi3v.TakeOrder")]
public sealed record TakeOrder(
    int Seat,
    [property: Id(0)] string SpecJson,
    [property: Id(1)] string Collective,
    [property: Id(2)] string Output) : RankOrder(Seat);

/// <param name="Addresses">Every rank's, by rank.</param>
/// <param name="Source">The rank whose state all adopt.</param>
/// <param name="Cause">Why the generation was formed.</param>
/// <param name="Shards">Where all find a state that seats hold in parts; then <paramref name="Source"/> says nothing.</param>
[GenerateSerializer, Immutable, Alias("phi3v.JoinOrder")]
public sealed record JoinOrder(
    int Seat,
    [property: Id(0)] long Generation,
    [property: Id(1)] int Rank,
    [property: Id(2)] IReadOnlyList<string> Addresses,
    [property: Id(3)] int Source,
    [property: Id(4)] string Cause,
    [property: Id(5)] ShardSources? Shards) : RankOrder(Seat);

/// <summary>Which version of a sharded state a generation goes on from, and which seats have it.</summary>
/// <param name="Generation">With the step, the version.</param>
/// <param name="WorldSize">Ranks that it is cut for.</param>
/// <param name="Words">The courier of the seat whose scalars and step records all adopt.</param>
/// <param name="Holders">At least one for each of those ranks.</param>
[GenerateSerializer, Immutable, Alias("phi3v.ShardSources")]
public sealed record ShardSources(
    [property: Id(0)] long Generation,
    [property: Id(1)] long Step,
    [property: Id(2)] int WorldSize,
    [property: Id(3)] string Words,
    [property: Id(4)] IReadOnlyList<ShardSource> Holders);

/// <summary>A seat's courier, by its address, that has a rank's part.</summary>
/// <param name="Member">The seat's rank in the generation that is to come; -1 where it is not in it.</param>
[GenerateSerializer, Immutable, Alias("phi3v.ShardSource")]
public sealed record ShardSource(
    [property: Id(0)] int Rank,
    [property: Id(1)] string Courier,
    [property: Id(2)] int Member = -1);

/// <summary>A seat is to park after the step at which its generation ends.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.PartOrder")]
public sealed record PartOrder(
    int Seat,
    [property: Id(0)] long Generation) : RankOrder(Seat);

/// <summary>A seat is to leave its generation at once, in whatever step, and to park.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.BreakOrder")]
public sealed record BreakOrder(
    int Seat,
    [property: Id(0)] long Generation,
    [property: Id(1)] string Reason) : RankOrder(Seat);

/// <summary>A seat is to end, and to free its place.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.LeaveOrder")]
public sealed record LeaveOrder(
    int Seat,
    [property: Id(0)] string Reason) : RankOrder(Seat);

/// <summary>A parked seat is to write its state as a checkpoint, unless one holds it.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.KeepOrder")]
public sealed record KeepOrder(int Seat) : RankOrder(Seat);

/// <param name="Output">The run's folder of results; made where it is not there.</param>
/// <param name="Spec">The run's spec as YAML, for a run that never wrote its own.</param>
/// <param name="Text">How it ended, as JSON.</param>
[GenerateSerializer, Immutable, Alias("phi3v.RunEnd")]
public sealed record RunEnd(
    [property: Id(0)] string Output,
    [property: Id(1)] string Spec,
    [property: Id(2)] string Text);
