using Phi3VCluster.Training.Collectives;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>A rank's word on a step.</summary>
internal enum Vote
{
    Commit = 0,
    /// <summary>The gradients it owns are not finite: in fp16, most often the loss scale was too large.</summary>
    Overflow = 1,
    /// <summary>The loss of a sample of its own is not finite.</summary>
    NonFinite = 2,
    /// <summary>Something broke on its machine: the others can go on without it.</summary>
    SeatFault = 3,
    /// <summary>Something broke that would break for every rank.</summary>
    Fault = 4,
}

/// <summary>
/// The few numbers that a step sums over all ranks in one small all-reduce, and with them the vote: each rank says in a slot of its own
/// whether the step may be committed, so that all ranks commit it or none does, and all know who objected.
/// </summary>
/// <param name="Loss">Of the global batch, without what objectors had.</param>
/// <param name="GradientSquares">Squared global norm.</param>
/// <param name="IsBoundary">Some rank was asked to part: all part after this step.</param>
/// <param name="Stored">Ranks whose newest snapshot is with two seats.</param>
/// <param name="IsOrphaned">Some rank hears nothing of the coordinator.</param>
/// <param name="Votes">By rank.</param>
internal readonly record struct StepTally(
    double Loss, double GradientSquares, long Images, long Crops, long Tokens, bool IsBoundary, int Stored, bool IsOrphaned,
    IReadOnlyList<Vote> Votes)
{
    private const int Numbers = 8;

    /// <summary>What the step comes to: the gravest of all votes.</summary>
    public Vote Verdict => Votes.Max();

    /// <param name="shardSquares">Squared norm of this rank's part of the summed gradients.</param>
    /// <param name="wantsBoundary">Whether this rank was asked to part.</param>
    /// <param name="hasStored">Whether this rank's newest snapshot is with two seats.</param>
    /// <param name="isOrphaned">Whether this rank hears nothing of the coordinator.</param>
    public static StepTally Exchange(
        ICollective collective, StepWork work, double shardSquares, bool wantsBoundary, bool hasStored = false, bool isOrphaned = false)
    {
        var slots = new float[Numbers + collective.WorldSize];
        if (double.IsFinite(work.Loss)) slots[0] = (float)work.Loss;
        if (double.IsFinite(shardSquares)) slots[1] = (float)shardSquares;
        (slots[2], slots[3], slots[4]) = (work.Images, work.Crops, work.Tokens);
        (slots[5], slots[6], slots[7]) = (wantsBoundary ? 1 : 0, hasStored ? 1 : 0, isOrphaned ? 1 : 0);
        slots[Numbers + collective.Rank] = (float)VoteOf(work, shardSquares);

        using var shared = tensor(slots);
        collective.AllReduce(shared);
        var sums = shared.data<float>().ToArray();
        return new(sums[0], sums[1], (long)sums[2], (long)sums[3], (long)sums[4], sums[5] > 0, (int)sums[6], sums[7] > 0,
            [.. sums.Skip(Numbers).Select(vote => (Vote)(int)vote)]);
    }

    private static Vote VoteOf(StepWork work, double shardSquares)
    {
        if (work.Fault is { } fault) return RankFault.KindOf(fault) == FaultKind.Seat ? Vote.SeatFault : Vote.Fault;
        if (work.NonFinite.Count > 0 || !double.IsFinite(work.Loss)) return Vote.NonFinite;
        return double.IsFinite((float)shardSquares) ? Vote.Commit : Vote.Overflow;
    }
}
