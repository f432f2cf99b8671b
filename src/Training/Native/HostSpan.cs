namespace Phi3VCluster.Training.Native;

/// <summary>A piece of host memory that somebody else owns.</summary>
/// <param name="Address">Of its first byte.</param>
public readonly record struct HostSpan(nint Address, long Bytes);
