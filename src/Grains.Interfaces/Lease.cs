namespace Phi3VCluster.Grains.Interfaces;

/// <summary>A place of a run on a node.</summary>
/// <param name="Seat">Its number within the run, never used again.</param>
/// <param name="Silo">Address of the silo that the node is at the moment: after a restart it is another one.</param>
[GenerateSerializer, Immutable, Alias("phi3v.SeatPlace")]
public sealed record SeatPlace(
    [property: Id(0)] int Seat,
    [property: Id(1)] string Node,
    [property: Id(2)] string Silo);

/// <summary>The seats that the cluster has given a run.</summary>
/// <param name="Device">Kind of device that all nodes of the lease have: cpu or cuda.</param>
[GenerateSerializer, Immutable, Alias("phi3v.Lease")]
public sealed record Lease(
    [property: Id(0)] string Run,
    [property: Id(1)] IReadOnlyList<SeatPlace> Seats,
    [property: Id(2)] string Device);

/// <summary>What the cluster tells a run that has a lease, each second.</summary>
/// <param name="Lost">Silos of the lease that are gone, and why it is held so.</param>
/// <param name="Draining">Nodes that the run should leave.</param>
/// <param name="Yields">If it is still short, it is to leave its seats to another run and to wait.</param>
/// <param name="Recalled">Seats that it is to give back at a boundary, for a run of higher priority; null for none.</param>
[GenerateSerializer, Immutable, Alias("phi3v.Tending")]
public sealed record Tending(
    [property: Id(0)] Lease Lease,
    [property: Id(1)] IReadOnlyList<LostSilo> Lost,
    [property: Id(2)] IReadOnlyList<DrainingNode> Draining,
    [property: Id(3)] bool Yields = false,
    [property: Id(4)] IReadOnlySet<int>? Recalled = null);

/// <summary>A silo of a lease that is gone, and what told so.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.LostSilo")]
public sealed record LostSilo(
    [property: Id(0)] string Silo,
    [property: Id(1)] string Reason);

/// <param name="InHurry">It shuts down: what cannot leave at a boundary soon is broken off.</param>
[GenerateSerializer, Immutable, Alias("phi3v.DrainingNode")]
public sealed record DrainingNode(
    [property: Id(0)] string Node,
    [property: Id(1)] bool InHurry);

/// <summary>What a run answers to that.</summary>
/// <param name="Final">How it ended; null while it has not.</param>
/// <param name="GivenUp">Seats of the lease that the run does not have any more.</param>
/// <param name="Wants">How many more it would take.</param>
/// <param name="IsShort">It cannot go on without more.</param>
/// <param name="Refusing">Silos that refused to carry the run.</param>
/// <param name="NextSeat">Above every seat that it was given so far: whoever has given it more by now has heard an old answer.</param>
/// <param name="HasYielded">It has left all its seats, and waits for others.</param>
[GenerateSerializer, Immutable, Alias("phi3v.RunNeeds")]
public sealed record RunNeeds(
    [property: Id(0)] RunStatus? Final,
    [property: Id(1)] IReadOnlyList<int> GivenUp,
    [property: Id(2)] int Wants,
    [property: Id(3)] bool IsShort,
    [property: Id(4)] IReadOnlyList<string> Refusing,
    [property: Id(5)] int NextSeat,
    [property: Id(6)] bool HasYielded = false);
