using System.Text;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Optim;

namespace Phi3VCluster.Training.Engine;

/// <summary>What becomes of a step that some rank voted against: it is skipped by all ranks, or ends the run on all.</summary>
internal sealed class StepObjections(ICollective collective, TrainingState state, OptimizerSpec spec)
{
    /// <returns>Why the step is skipped, the same on all ranks.</returns>
    /// <exception cref="RankFault">
    /// The run cannot go on; the message names rank, step and samples, and is the same on all ranks.
    /// </exception>
    public string Handle(StepTally tally, StepWork work, long step)
    {
        // Rare, so that all may tell all: whoever is asked first then names the culprit.
        var words = RankMessages.Exchange(collective, Encoding.UTF8.GetBytes(Words(tally, work))).Select(Encoding.UTF8.GetString);
        var reasons = string.Join("; ", words.Select((text, rank) => (text, rank)).Where(one => one.text.Length > 0)
            .Select(one => $"rank {one.rank}: {one.text}"));
        if (tally.Verdict == Vote.Fault) throw new RankFault($"step {step}, {reasons}", work.Fault);
        if (tally.Verdict == Vote.SeatFault)
        {
            var own = tally.Votes[collective.Rank] == Vote.SeatFault;
            throw new RankFault($"step {step}, {reasons}", work.Fault, own ? FaultKind.Seat : FaultKind.Echo);
        }
        var scaler = state.Scaler;
        if (tally.Verdict == Vote.Overflow && scaler.IsDynamic && !scaler.IsExhausted)
        {
            scaler.Update(overflowed: true);
            return FormattableString.Invariant($"gradients overflowed; the loss scale is {scaler.Scale} now");
        }
        if (spec.OnNonFinite == "skip" && ++state.Skipped <= spec.MaxSkippedSteps) return reasons;
        var tried = spec.OnNonFinite == "skip" ? $" ({spec.MaxSkippedSteps} steps were skipped before, optimizer.maxSkippedSteps)" : "";
        throw new RankFault($"step {step}, {reasons}{tried}; "
            + "lower optimizer.learningRate, look at these samples, or set optimizer.onNonFinite: skip.");
    }

    /// <summary>Nothing from those with a lesser objection: one rank's loss that is not finite makes all ranks' sums such.</summary>
    private string Words(StepTally tally, StepWork work) => tally.Votes[collective.Rank] switch
    {
        var vote when vote != tally.Verdict => "",
        Vote.Fault or Vote.SeatFault => work.Fault!.Message,
        Vote.NonFinite => $"the loss of {string.Join(", ", work.NonFinite)} is not finite",
        _ => "a summed gradient is not finite, "
            + $"among those of {string.Join(", ", work.Share.Select(sample => sample.Id))} and other ranks' samples",
    };
}
