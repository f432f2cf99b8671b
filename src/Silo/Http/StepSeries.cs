using System.ComponentModel;

namespace Phi3VCluster.Silo.Http;

/// <summary>Committed steps as columns of the same length. One that stands for several steps has their mean, or the last.</summary>
internal sealed record StepSeries(
    string Run,
    [property: Description("Why there is nothing, as a sentence; null where all could be read.")] string? Problem,
    [property: Description("Steps that a point stands for; the last point may have fewer.")] long StepsPerPoint,
    [property: Description("What to ask for next.")] long Next,
    [property: Description("The last step of the point.")] IReadOnlyList<long> Step,
    [property: Description("From 0.")] IReadOnlyList<int> Epoch,
    IReadOnlyList<long> Generation,
    IReadOnlyList<int> WorldSize,
    [property: Description("Mean.")] IReadOnlyList<double> Loss,
    [property: Description("Mean, before clipping.")] IReadOnlyList<double> GradNorm,
    IReadOnlyList<double> LearningRate,
    [property: Description("Images over the steps' seconds.")] IReadOnlyList<double> ImagesPerSecond,
    [property: Description("Positions, image tokens included, over the steps' seconds.")] IReadOnlyList<double> TokensPerSecond)
{
    public static StepSeries Empty(string run, long from, string? problem) =>
        new(run, problem, 1, from, [], [], [], [], [], [], [], [], []);
}
