using Phi3VCluster.Training;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>A seat of a simulated node: its thread, its model, its state.</summary>
internal sealed class SimSeat(SimNode node, SeatId id, long version)
{
    private long _version = version;
    private int _attempts;
    private long _kept;
    private bool _isLive;
    private SimState _stored = node.Shared.Checkpoint; // that it would restore
    private SimShards? _shards;
    private (FaultKind Fault, string? Error, int? BadPeer)? _breaksAfterUpdate;

    public SimNode Node => node;

    public SeatId Id => id;

    public RankPhase Phase { get; private set; } = RankPhase.Loading;

    public SimState State { get; private set; } = node.Shared.Checkpoint;

    public SimRing? Ring { get; private set; }

    public long Generation { get; private set; }

    public int Rank { get; private set; } = -1;

    public string Address { get; private set; } = "";

    public bool WasAskedToPart { get; private set; }

    public bool IsUpdating { get; private set; }

    /// <summary>Its thread has ended, and freed what it had.</summary>
    public bool HasLeft { get; private set; }

    /// <summary>Nothing that it is told ends what it does.</summary>
    public bool Hangs { get; set; }

    private FaultKind Fault { get; set; }

    private string? Error { get; set; }

    private int? BadPeer { get; set; }

    public SimShards Shards => _shards ??= new(this);

    /// <summary>What it offers whole.</summary>
    public SimState Whole => node.Shared.IsSharded ? _stored : State;

    public bool HasEnded => Phase is RankPhase.Failed or RankPhase.Stopped;

    public RankProgress Progress => new(id, Phase)
    {
        Generation = Generation,
        Rank = Rank,
        Fault = Fault,
        Error = Error,
        BadPeer = BadPeer,
        CheckpointStep = _kept,
        Step = Phase == RankPhase.Loading ? 0 : State.Step,
        Offer = Phase == RankPhase.Parked
            ? new(Address, Math.Max(Generation, Whole.Generation), Whole.Step, Whole.Stage, _isLive && !node.Shared.IsSharded, "same",
                Shards.Courier, Shards.Held)
            : null,
    };

    /// <returns>False if the order is an old one.</returns>
    public bool Sees(long version)
    {
        if (version < _version && node.Shared.Bug != Bug.SeatsIgnoreVersions) return false;
        node.Shared.Require(version >= _version, $"{id.Seat} obeyed version {version} after {_version}");
        _version = Math.Max(_version, version);
        return true;
    }

    public bool IsIn(long generation) => Ring is not null && Generation == generation && !HasEnded;

    public void Load(double seconds) => node.After(seconds, () =>
    {
        if (Phase == RankPhase.Loading) Park(FaultKind.None, null, null);
    });

    public bool Join(Assignment assignment)
    {
        if (IsIn(assignment.Generation)) return true;
        if (Phase != RankPhase.Parked || assignment.Generation <= Generation) return false;
        if (assignment.Addresses[assignment.Rank] != Address) return false;
        (Phase, Generation, Rank, WasAskedToPart) = (RankPhase.Joining, assignment.Generation, assignment.Rank, false);
        (Fault, Error, BadPeer) = (FaultKind.None, null, null);
        Ring = node.Shared.RingOf(assignment);
        Ring.Enter(this);
        return true;
    }

    public void AskToPart() => WasAskedToPart = true;

    /// <summary>Leaves its generation, at once or when the update that it is in has ended, which looks at no abort.</summary>
    public void BreakOff(FaultKind fault, string? error, int? badPeer)
    {
        if (Ring is null || HasEnded || Hangs) return;
        if (IsUpdating && node.Shared.Bug != Bug.OffersTornState)
        {
            _breaksAfterUpdate ??= (fault, error, badPeer);
            return;
        }
        var ring = Ring;
        Park(fault, error, badPeer);
        ring.Left(this, hasDied: false);
    }

    /// <param name="from">Where seats hold it in parts.</param>
    public void Adopt(SimState source, int worldSize, StateVersion? from)
    {
        _isLive = true;
        if (node.Shared.IsSharded) Shards.Join(Generation, Rank, worldSize, from);
        State = node.Shared.Bug == Bug.AdoptsTheStepAlone
            ? source with { Hash = State.Hash, Generation = Generation }
            : source with { Generation = Generation };
    }

    public void Enter(RankPhase phase)
    {
        Phase = phase;
        node.ReportNow();
    }

    /// <summary>Writes what it has to the disk that all share.</summary>
    public bool Keep()
    {
        if (Phase != RankPhase.Parked) return false;
        if (node.Shared.Bug != Bug.SaysItKeptWhatItDidNot) node.Shared.Keep(State);
        _kept = State.Step;
        node.ReportNow();
        return true;
    }

    public void Pass(TrainingStage stage) => State = State with { Stage = stage };

    public void BeginUpdate()
    {
        IsUpdating = true;
        State = State.Torn;
    }

    /// <param name="parts">All leave together after this step.</param>
    /// <param name="committed">What it does then, before it leaves.</param>
    public void EndUpdate(bool parts, Action<SimSeat> committed)
    {
        IsUpdating = false;
        State = State.Torn.Advance(node.Shared.TotalSteps);
        node.Shared.Committed(this);
        committed(this);
        if (_breaksAfterUpdate is { } broken)
        {
            _breaksAfterUpdate = null;
            BreakOff(broken.Fault, broken.Error, broken.BadPeer);
        }
        else if (parts && !Hangs)
        {
            Ring!.Parted(this);
            Park(FaultKind.None, null, null);
        }
    }

    public void Fail(FaultKind fault, string error)
    {
        var ring = Ring;
        (Phase, Fault, Error, Ring) = (RankPhase.Failed, fault, error, null);
        HasLeft = true;
        ring?.Left(this, hasDied: true);
        node.ReportNow();
    }

    public void Leave(string reason)
    {
        if (HasEnded) return;
        var ring = Ring;
        (Phase, Error, Ring) = (RankPhase.Stopped, reason, null);
        ring?.Left(this, hasDied: false);
        node.After(Hangs ? 60 : node.Shared.World.Between(0, 3), () =>
        {
            HasLeft = true;
            node.ReportNow();
        });
        node.ReportNow();
    }

    /// <summary>Its silo died.</summary>
    public void Die()
    {
        var ring = Ring;
        Ring = null;
        ring?.Left(this, hasDied: true);
    }

    private void Park(FaultKind fault, string? error, int? badPeer)
    {
        Address = $"{node.Silo}/{id.Seat}.{++_attempts}";
        if (node.Shared.IsSharded && (!IsUpdating || node.Shared.Bug == Bug.OffersTornState)) Shards.Hold(State);
        _stored = node.Shared.Checkpoint;
        (Phase, Fault, Error, BadPeer, Ring) = (RankPhase.Parked, fault, error, badPeer, null);
        node.ReportNow();
    }
}
