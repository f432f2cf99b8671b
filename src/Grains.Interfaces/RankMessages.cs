namespace Phi3VCluster.Grains.Interfaces;

/// <param name="Collective">The collective's name, never "auto".</param>
[GenerateSerializer, Immutable, Alias("phi3v.Preparation")]
public sealed record Preparation(
    [property: Id(0)] long Generation,
    [property: Id(1)] string SpecJson,
    [property: Id(2)] string Collective);

/// <param name="Addresses">Every rank's address, by rank; as many as the world has ranks.</param>
/// <param name="Output">The run's folder of results, the same for all ranks.</param>
[GenerateSerializer, Immutable, Alias("phi3v.Assignment")]
public sealed record Assignment(
    [property: Id(0)] long Generation,
    [property: Id(1)] IReadOnlyList<string> Addresses,
    [property: Id(2)] string Output);

/// <param name="Output">The run's folder of results; made where it is not there.</param>
/// <param name="Spec">The run's spec as YAML, for a run that never wrote its own.</param>
/// <param name="Text">How it ended, as JSON.</param>
[GenerateSerializer, Immutable, Alias("phi3v.RunEnd")]
public sealed record RunEnd(
    [property: Id(0)] string Output,
    [property: Id(1)] string Spec,
    [property: Id(2)] string Text);

/// <summary>A rank's answer to <see cref="IRankGrain.PrepareAsync"/>: an address, or problems.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.RankJoin")]
public sealed record RankJoin(
    [property: Id(0)] long Generation,
    [property: Id(1)] int Rank,
    [property: Id(2)] string Address,
    [property: Id(3)] IReadOnlyList<string> Problems);
