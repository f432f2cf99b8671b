namespace Phi3VCluster.Training.Tests;

/// <summary>
/// Tests that nothing may run beside: they read the process's memory, or compare to the last bit, which tests that set other numbers of
/// libtorch's threads may change.
/// </summary>
[CollectionDefinition(DisableParallelization = true)]
public sealed class AloneCollection;
