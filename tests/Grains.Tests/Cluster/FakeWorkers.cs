using System.Collections.Concurrent;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>A node's data plane whose seats do what the test says. Held to the same contract as the real one.</summary>
internal sealed class FakeWorkers(int capacity) : IRankWorkers
{
    private readonly Lock _lock = new();
    private readonly Dictionary<SeatId, FakeSeat> _seats = [];
    private readonly HashSet<SeatId> _lingering = [], _forgotten = [];

    public event Action? ReportSoon;

    public int Capacity => capacity;

    public string Device => "cpu";

    /// <summary>What a seat that loads finds wrong.</summary>
    public string? Problem { get; set; }

    /// <summary>Seats load until it is cleared.</summary>
    public bool LoadsForLong { get; set; }

    /// <summary>Seats hang: nothing that they are told ends what they do.</summary>
    public bool Hangs { get; set; }

    /// <summary>Seats say that they stopped, and their threads compute on until <see cref="EndThreads"/>.</summary>
    public bool Lingers { get; set; }

    /// <summary>Seats cannot write their state.</summary>
    public bool DiskIsFull { get; set; }

    /// <summary>A coordinator has answered a report; a test that wants to hear of the next sets it back.</summary>
    public bool HasAnswer { get; set; }

    /// <summary>How often seats were told to write it.</summary>
    public int Kept { get; private set; }

    /// <summary>The next parking seats offer what this makes of their offer.</summary>
    public Func<Offer, Offer> Offers { get; set; } = offer => offer;

    public ConcurrentQueue<(SeatId Id, SeatOrder Order)> Taken { get; } = new();

    public ConcurrentQueue<(SeatId Id, Assignment Assignment)> Joined { get; } = new();

    public ConcurrentQueue<(SeatId Id, long Generation)> Parted { get; } = new();

    public bool Take(SeatId id, long version, SeatOrder order)
    {
        lock (_lock)
        {
            if (_forgotten.Contains(id)) return false;
            if (_seats.TryGetValue(id, out var known)) return known.Sees(version) && !known.HasEnded;
            var seat = new FakeSeat(new(id, RankPhase.Loading), version);
            _seats.Add(id, seat);
            Taken.Enqueue((id, order));
            if (Problem is { } problem) seat.Is = seat.Is with { Phase = RankPhase.Failed, Fault = FaultKind.Run, Error = problem };
            else if (!LoadsForLong) Park(seat);
        }
        ReportSoon?.Invoke();
        return true;
    }

    public bool Join(SeatId id, long version, Assignment assignment) => Order(id, version, seat =>
    {
        if (seat.IsIn(assignment.Generation)) return true;
        if (seat.Is.Phase != RankPhase.Parked || seat.Is.Offer!.Address != assignment.Addresses[assignment.Rank]) return false;
        if (assignment.Generation <= seat.Is.Generation) return false;
        Joined.Enqueue((id, assignment));
        seat.Is = seat.Is with
        {
            Phase = RankPhase.Joining,
            Generation = assignment.Generation,
            Rank = assignment.Rank,
            Offer = null,
            Fault = FaultKind.None,
            Error = null,
        };
        return true;
    });

    public bool Part(SeatId id, long version, long generation) => Order(id, version, seat =>
    {
        if (!seat.IsIn(generation)) return false;
        Parted.Enqueue((id, generation));
        if (!Hangs && seat.Is.Phase == RankPhase.Training) Park(seat);
        return true;
    });

    public bool Break(SeatId id, long version, long generation, string reason) => Order(id, version, seat =>
    {
        if (!seat.IsIn(generation)) return false;
        if (!Hangs) Park(seat);
        return true;
    });

    public bool Keep(SeatId id, long version) => Order(id, version, seat =>
    {
        if (seat.Is.Phase != RankPhase.Parked) return false;
        Kept++;
        if (!DiskIsFull) seat.Is = seat.Is with { CheckpointStep = seat.Is.Step };
        return true;
    });

    public bool Leave(SeatId id, long version, string reason) => Order(id, version, seat =>
    {
        if (!Hangs && !seat.HasEnded) End(seat, reason);
        return true;
    });

    public void Answered(SeatId id) => HasAnswer = true;

    public IReadOnlyList<RankProgress> Progress()
    {
        lock (_lock) return [.. _seats.Values.Select(seat => seat.Is)];
    }

    public IReadOnlyList<SeatId> Occupied()
    {
        lock (_lock) return [.. _seats.Values.Where(seat => !seat.HasEnded).Select(seat => seat.Is.Id).Union(_lingering)];
    }

    public void Forget(SeatId id)
    {
        lock (_lock)
        {
            _forgotten.Add(id);
            _seats.Remove(id);
        }
        ReportSoon?.Invoke();
    }

    /// <summary>All seats of the node that have not ended are there now.</summary>
    public void All(Func<RankProgress, RankProgress> change)
    {
        lock (_lock)
            foreach (var seat in _seats.Values.Where(seat => !seat.HasEnded)) seat.Is = change(seat.Is);
        ReportSoon?.Invoke();
    }

    /// <summary>All seats that load are ready.</summary>
    public void EndLoading()
    {
        lock (_lock)
        {
            LoadsForLong = false;
            foreach (var seat in _seats.Values.Where(seat => seat.Is.Phase == RankPhase.Loading)) Park(seat);
        }
        ReportSoon?.Invoke();
    }

    /// <summary>All seats that train part by themselves, as at a boundary.</summary>
    public void PartAll()
    {
        lock (_lock)
            foreach (var seat in _seats.Values.Where(seat => seat.Is.Phase == RankPhase.Training)) Park(seat);
        ReportSoon?.Invoke();
    }

    /// <summary>The threads of lingering seats end.</summary>
    public void EndThreads()
    {
        lock (_lock) _lingering.Clear();
        ReportSoon?.Invoke();
    }

    private bool Order(SeatId id, long version, Func<FakeSeat, bool> obey)
    {
        bool obeyed;
        lock (_lock) obeyed = _seats.TryGetValue(id, out var seat) && seat.Sees(version) && obey(seat);
        if (obeyed) ReportSoon?.Invoke();
        return obeyed;
    }

    private void Park(FakeSeat seat)
    {
        seat.Attempts++;
        var stage = seat.Is.Step > 0 ? TrainingStage.Step : TrainingStage.EvaluateBefore;
        var offer = new Offer(
            $"tcp://{seat.Is.Id.Seat}.{seat.Attempts}", seat.Is.Generation, seat.Is.Step, stage, seat.Is.Generation > 0, "same");
        seat.Is = seat.Is with { Phase = RankPhase.Parked, Offer = Offers(offer) };
    }

    private void End(FakeSeat seat, string reason)
    {
        if (Lingers) _lingering.Add(seat.Is.Id);
        seat.Is = seat.Is with { Phase = RankPhase.Stopped, Error = reason, Offer = null };
    }

    private sealed class FakeSeat(RankProgress progress, long version)
    {
        private long _version = version;

        public RankProgress Is { get; set; } = progress;

        public int Attempts { get; set; }

        public bool HasEnded => Is.Phase is RankPhase.Failed or RankPhase.Stopped;

        /// <returns>False if the order is an old one.</returns>
        public bool Sees(long version)
        {
            if (version < _version) return false;
            _version = version;
            return true;
        }

        public bool IsIn(long generation) => Is.Generation == generation && generation > 0
            && Is.Phase is not (RankPhase.Loading or RankPhase.Parked) && !HasEnded;
    }
}
