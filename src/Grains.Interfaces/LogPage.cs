namespace Phi3VCluster.Grains.Interfaces;

/// <param name="First">Number of the first line here; more than was asked for if older lines are gone.</param>
/// <param name="Lines">Each begins with its time in ISO 8601.</param>
/// <param name="Next">What to ask for next.</param>
[GenerateSerializer, Immutable, Alias("phi3v.LogPage")]
public sealed record LogPage(
    [property: Id(0)] long First,
    [property: Id(1)] IReadOnlyList<string> Lines,
    [property: Id(2)] long Next);
