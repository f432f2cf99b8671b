namespace Phi3VCluster.Grains.Interfaces;

/// <summary>A rank and the node it runs on.</summary>
/// <param name="Silo">Address of the silo that the node is at the moment: after a restart it is another one.</param>
[GenerateSerializer, Immutable, Alias("phi3v.RankPlace")]
public sealed record RankPlace(
    [property: Id(0)] int Rank,
    [property: Id(1)] string Node,
    [property: Id(2)] string Silo);

/// <summary>The ranks of a run, all of them: a gang is leased whole or not at all.</summary>
/// <param name="Places">By rank, from 0.</param>
/// <param name="Device">Kind of device that all nodes of the lease have: cpu or cuda.</param>
[GenerateSerializer, Immutable, Alias("phi3v.Lease")]
public sealed record Lease(
    [property: Id(0)] string Run,
    [property: Id(1)] IReadOnlyList<RankPlace> Places,
    [property: Id(2)] string Device);
