namespace Phi3VCluster.Grains.Queue;

/// <summary>What a cluster can become.</summary>
/// <param name="Grows">Whether other nodes can join it: what it lacks today may come.</param>
public sealed record ClusterShape(bool Grows);
