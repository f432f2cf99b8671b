using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Training.Engine;

/// <summary>What a run came to in its longest generation, as far as a plan predicts it. Means of a step, over all ranks.</summary>
internal sealed record RunMeasurement
{
    public required long Generation { get; init; }
    /// <summary>That there were in all.</summary>
    public int Generations { get; init; } = 1;
    public required int Ranks { get; init; }
    public int Nodes { get; init; } = 1;
    /// <summary>Of the generation.</summary>
    public required long Steps { get; init; }
    public required double Seconds { get; init; }
    public required double Samples { get; init; }
    public required double Images { get; init; }
    /// <summary>The mean sample; null where crops were not counted.</summary>
    public LetterPage? Page { get; init; }
    /// <summary>By phase, on the rank that reports; null where it was not in that generation.</summary>
    public IReadOnlyDictionary<string, double>? Phases { get; init; }
    /// <summary>Null where it cannot be told.</summary>
    public MeasuredMemory? Memory { get; init; }

    /// <returns>Null before the first step.</returns>
    public static RunMeasurement? Of(RunHome home, GenerationParts parts)
    {
        if (home.State.Records.Count == 0) return null;
        var steps = home.State.Records.GroupBy(step => step.Generation).MaxBy(group => group.Count())!.ToList();
        var (generation, samples) = (steps[0].Generation, steps.Sum(step => step.SampleIds.Count));
        return new()
        {
            Generation = generation,
            Generations = home.State.Generations.Count,
            Ranks = steps[0].WorldSize,
            Nodes = home.State.Generations.FirstOrDefault(one => one.Generation == generation)?.Nodes ?? 1,
            Steps = steps.Count,
            Seconds = steps.Average(step => step.Seconds),
            Samples = (double)samples / steps.Count,
            Images = steps.Average(step => step.Images),
            Page = steps.Any(step => step is { Images: > 0, Crops: 0 }) ? null
                : new((double)steps.Sum(step => step.Tokens) / samples, (double)steps.Sum(step => step.Crops) / samples),
            Phases = home.StepPhases.Of(generation),
            Memory = MeasuredMemory.Of(home, parts),
        };
    }
}

/// <summary>Bytes on the device of the rank that reports, or of its process where ranks compute on the CPU.</summary>
/// <param name="Ranks">That share it.</param>
/// <param name="Before">What a process held before them; 0 on a GPU, where tensors alone are counted.</param>
/// <param name="Optimizer">Masters and moments.</param>
/// <param name="Peak">The most there was at a time, with all of these.</param>
internal sealed record MeasuredMemory(int Ranks, double Before, double Weights, double Gradients, double Optimizer, double Peak)
{
    /// <summary>What no tensor that lasts accounts for.</summary>
    public double Rest => Peak - Before - Weights - Gradients - Optimizer;

    public static MeasuredMemory? Of(RunHome home, GenerationParts parts) => home.Metrics.Peak() is not var (before, peak, ranks) ? null
        : new(ranks, before, ranks * home.Model.WeightBytes, ranks * parts.GradientBytes, ranks * home.State.Optimizer.SizeBytes, peak);
}
