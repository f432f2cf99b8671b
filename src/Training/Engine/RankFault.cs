namespace Phi3VCluster.Training.Engine;

/// <summary>A rank cannot go on, for a reason that the user should read; it names the step and the samples where it knows them.</summary>
public sealed class RankFault(string message, Exception? inner = null) : Exception(message, inner);
