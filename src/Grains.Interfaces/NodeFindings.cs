namespace Phi3VCluster.Grains.Interfaces;

/// <summary>What a node found when it looked at itself.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.NodeFindings")]
public sealed record NodeFindings
{
    /// <summary>Null on a node without ranks, which writes no results.</summary>
    [Id(0)] public DiskFinding? Disk { get; init; }
    [Id(1)] public required StoreFinding Store { get; init; }
    [Id(2)] public required DeviceFinding Devices { get; init; }
    /// <summary>When the certificate of its connections ends; null where it has none.</summary>
    [Id(3)] public DateTimeOffset? CertificateEnd { get; init; }
    /// <summary>Most ranks it runs at a time.</summary>
    [Id(4)] public required int Ranks { get; init; }
}

/// <summary>The place where runs' results go.</summary>
/// <param name="FreeBytes">For the silo's user.</param>
/// <param name="Token">Path of a file that the node left there; null where it could not.</param>
/// <param name="Problem">Why it cannot be used; null if it can.</param>
[GenerateSerializer, Immutable, Alias("phi3v.DiskFinding")]
public sealed record DiskFinding(
    [property: Id(0)] long FreeBytes,
    [property: Id(1)] string? Token,
    [property: Id(2)] string? Problem);

/// <summary>Where the cluster's state is kept, as seen from the node.</summary>
/// <param name="Name">What it is, and where.</param>
/// <param name="RoundTripSeconds">The shortest of a few questions.</param>
/// <param name="Problem">Why it cannot be read or written; null if it can.</param>
[GenerateSerializer, Immutable, Alias("phi3v.StoreFinding")]
public sealed record StoreFinding(
    [property: Id(0)] string Name,
    [property: Id(1)] double RoundTripSeconds,
    [property: Id(2)] string? Problem);

/// <summary>What the node's ranks compute with.</summary>
/// <param name="Words">Names, driver, free memory, NCCL; or that it is the CPU.</param>
/// <param name="Gpus">That its ranks take.</param>
/// <param name="NcclVersion">E.g. 22809; 0 where there is none.</param>
/// <param name="Problem">Why they cannot be used as they should; null if they can.</param>
[GenerateSerializer, Immutable, Alias("phi3v.DeviceFinding")]
public sealed record DeviceFinding(
    [property: Id(0)] string Words,
    [property: Id(1)] int Gpus,
    [property: Id(2)] int NcclVersion,
    [property: Id(3)] string? Problem);
