using Phi3VCluster.Training;
using Phi3VCluster.Training.Snapshots;

namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>The snapshots of one generation, whose parts take their time to the buddies.</summary>
internal sealed class SimSnapshots(SimShared shared, SimRing ring, IReadOnlyList<SimSeat> ranks)
{
    private const double Pause = 0.5;

    private readonly HashSet<int> _stored = [];
    private readonly IReadOnlyList<int?> _buddies = shared.Bug == Bug.BuddiesAreNeighbours && ranks.Count > 1
        ? [.. ranks.Select(seat => (int?)((seat.Rank + 1) % ranks.Count))]
        : Buddies.Of([.. ranks.Select(seat => seat.Node.Name)]);

    private StateVersion? _newest;
    private bool _counts;

    /// <summary>Before the first step.</summary>
    public void Begin()
    {
        if (_newest is not null || ranks.Count < 2) return;
        Next(ranks[0].State.Step);
        foreach (var seat in ranks) Take(seat);
    }

    /// <summary>A step's vote.</summary>
    /// <returns>What each rank does when it has committed the step.</returns>
    public Action<SimSeat> Tally()
    {
        if (_newest is not { } newest || ranks.Count < 2) return _ => { };
        var counts = !_counts && _stored.Count == ranks.Count;
        if (counts) shared.SnapshotCounts(newest, ranks);
        _counts |= counts;
        var step = ranks[0].State.Step + 1;
        var takes = _counts && step >= newest.Step + shared.StepsBetweenSnapshots;
        if (takes) Next(step);
        return seat =>
        {
            if (counts) seat.Shards.Counted(newest);
            if (takes) Take(seat);
        };
    }

    private void Next(long step)
    {
        (_newest, _counts) = (new(ranks[0].Generation, step), false);
        _stored.Clear();
    }

    private void Take(SimSeat seat)
    {
        if (seat.Shards.Hold(seat.State) is not { } version) return;
        if (shared.Bug == Bug.DropsBeforeItCounts) seat.Shards.Counted(version);
        if (shared.Bug == Bug.OneCopyCounts) _stored.Add(seat.Rank);
        Bring(seat, seat.Rank, version, seat.State.Hash);
    }

    private void Bring(SimSeat seat, int rank, StateVersion version, ulong hash)
    {
        seat.Node.After(shared.World.Between(0.01, shared.SlowestSnapshot), Arrive);

        void Arrive()
        {
            if (seat.Ring != ring || version != _newest) return;
            var buddy = ranks[_buddies[rank]!.Value];
            if (!buddy.Node.Holds(buddy) || buddy.Node.IsFrozen || !shared.CanReach(seat.Node, buddy.Node))
                shared.World.After(Pause, () => Bring(seat, rank, version, hash));
            else if (buddy.Shards.Keep(version, rank, ranks.Count, hash)) _stored.Add(rank);
        }
    }
}
