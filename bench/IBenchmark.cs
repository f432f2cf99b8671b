using Phi3VCluster.Training;

namespace Phi3VCluster.Bench;

/// <summary>One thing worth measuring, found by its name: a new benchmark is a new file.</summary>
internal interface IBenchmark : INamed
{
    /// <summary>One line for the list.</summary>
    string Description { get; }

    /// <summary>Measures; rows come as they are done. Peers are measured in the same run: other days' times compare nothing.</summary>
    IEnumerable<BenchRow> Run(BenchOptions options);
}

/// <param name="Peers">Measure the other implementations beside ours.</param>
internal sealed record BenchOptions(bool Peers);
