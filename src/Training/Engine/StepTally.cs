using Phi3VCluster.Training.Collectives;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// The few numbers that a step sums over all ranks in one small all-reduce, and with them the vote: a rank that had a fault, or
/// whose numbers are not finite, says so in a slot of its own, so that all ranks commit the step or none does, and all know who objected.
/// </summary>
/// <param name="Loss">Of the global batch.</param>
/// <param name="GradientSquares">Squared global norm.</param>
/// <param name="Objectors">Ranks that refuse the step.</param>
internal readonly record struct StepTally(double Loss, double GradientSquares, long Images, long Tokens, IReadOnlyList<int> Objectors)
{
    private const int Numbers = 4;

    /// <param name="shardSquares">Squared norm of this rank's part of the summed gradients.</param>
    public static StepTally Exchange(ICollective collective, StepWork work, double shardSquares)
    {
        var slots = new float[Numbers + collective.WorldSize];
        var objects = work.Fault is not null || !double.IsFinite(work.Loss) || !double.IsFinite(shardSquares);
        if (!objects) (slots[0], slots[1]) = ((float)work.Loss, (float)shardSquares);
        (slots[2], slots[3]) = (work.Images, work.Tokens);
        slots[Numbers + collective.Rank] = objects ? 1 : 0;

        using var shared = tensor(slots);
        collective.AllReduce(shared);
        var sums = shared.data<float>().ToArray();
        return new(sums[0], sums[1], (long)sums[2], (long)sums[3],
            [.. Enumerable.Range(0, collective.WorldSize).Where(rank => sums[Numbers + rank] != 0)]);
    }
}
