namespace Phi3VCluster.Training.Engine;

/// <summary>The samples of one optimizer step over all ranks.</summary>
/// <param name="Epoch">From 0.</param>
/// <param name="Index">Place in the epoch, from 0.</param>
internal readonly record struct GlobalBatch(int Epoch, int Index, int SampleCount);
