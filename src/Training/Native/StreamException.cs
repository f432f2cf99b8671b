namespace Phi3VCluster.Training.Native;

/// <summary>The device's runtime refused; after most of its reasons the process can use the device no more.</summary>
public sealed class StreamException(string message) : Exception(message);
