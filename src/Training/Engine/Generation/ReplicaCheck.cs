using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// A replicated state is the same on every rank, to the last bit, for all do the same arithmetic on the same sums. Where it is not, memory
/// or a device has failed in silence: every few steps the ranks compare a hash, and take rank 0's state where they differ.
/// </summary>
internal sealed class ReplicaCheck(RunHome home, ICollective collective)
{
    private const int EverySteps = 50;

    private bool _said;

    /// <summary>After a committed step, by all ranks together.</summary>
    /// <returns>What the run should say, once; the same on all ranks.</returns>
    public string? StepCommitted()
    {
        var state = home.State;
        if (state.IsSharded || collective.WorldSize == 1 || state.Position.Step % EverySteps != 0) return null;
        var hashes = RankMessages.Exchange(collective, state.Optimizer.Hash());
        var other = Enumerable.Range(0, hashes.Count).FirstOrDefault(rank => !hashes[rank].AsSpan().SequenceEqual(hashes[0]));
        if (other == 0) return null;
        new StateExchange(home, collective, source: 0, state.Optimizer.Layout).Repair();
        var says = !_said;
        _said = true;
        return says ? $"warning: rank {other} held other values than rank 0, though all compute the same: its memory or device may be bad. "
            + "All have taken rank 0's" : null;
    }
}
