namespace Phi3VCluster.Grains.Interfaces;

/// <summary>Ends that a node has opened for a check.</summary>
/// <param name="Addresses">Each is good for one peer, and for half a minute.</param>
/// <param name="Problem">Why it could open none; null if it could.</param>
[GenerateSerializer, Immutable, Alias("phi3v.NodeDoors")]
public sealed record NodeDoors(
    [property: Id(0)] IReadOnlyList<string> Addresses,
    [property: Id(1)] string? Problem);

/// <summary>What came of going to another node's end.</summary>
/// <param name="Detail">What the outcome alone does not say; may be empty.</param>
[GenerateSerializer, Immutable, Alias("phi3v.ReachReport")]
public sealed record ReachReport(
    [property: Id(0)] ReportedReachOutcome Outcome,
    [property: Id(1)] string Detail);

/// <summary>How far one came.</summary>
[GenerateSerializer, Alias("phi3v.ReportedReach")]
public enum ReportedReachOutcome
{
    Reached,
    /// <summary>Its machine, or a firewall in its place, says that nobody listens.</summary>
    Refused,
    /// <summary>The network knows no way there.</summary>
    NoRoute,
    /// <summary>Nothing came back.</summary>
    TimedOut,
    /// <summary>One of both does not believe the other's certificate, or has none.</summary>
    NotTrusted,
    Failed,
}
