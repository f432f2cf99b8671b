using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Optim;

namespace Phi3VCluster.Training.Engine;

/// <summary>What a rank's run is made of; <see cref="TrainerBuilder"/> puts it together.</summary>
internal sealed class TrainerParts : IDisposable
{
    public required ICollective Collective { get; init; }
    public required RunRows Training { get; init; }
    public required SampleOrder Order { get; init; }
    public required TrainedModel Model { get; init; }
    public required AdamW Optimizer { get; init; }
    public required TrainingStep Step { get; init; }
    /// <summary>Null when the run has no held-out data.</summary>
    public required Evaluator? Evaluator { get; init; }
    public required RunFolder Folder { get; init; }
    public required PhaseClock Clock { get; init; }
    /// <summary>"cpu", or "cuda" with the card's name.</summary>
    public required string Device { get; init; }
    /// <summary>What the run says of its data at its start.</summary>
    public required IReadOnlyList<string> Notes { get; init; }
    public required RankMetrics Metrics { get; init; }
    /// <summary>Everything that must be released, in this order.</summary>
    public required IReadOnlyList<IDisposable> Owned { get; init; }

    public void Dispose()
    {
        foreach (var part in Owned) part.Dispose();
    }
}
