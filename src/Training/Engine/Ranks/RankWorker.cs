using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// One seat: a thread that loads a run's home, then trains in one generation after another as it is told, and the little that other threads
/// may do to it. TorchSharp's dispose scopes, grad mode and last error belong to a thread, so all tensor work happens on this one.
/// </summary>
internal sealed class RankWorker
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(60);

    private readonly SeatOrder _order;
    private readonly SeatMachine _machine;
    private readonly Action<RankWorker> _changed;
    private readonly CancellationTokenSource _leave = new(); // has no timer and no handle: nothing to dispose
    private readonly SeatMailbox _mailbox = new();
    private readonly PhaseClock _clock = new(); // from the first moment on
    private readonly Lock _gate = new();
    private readonly Thread _thread;
    private GenerationAbort? _abort; // of the generation that was joined last
    private RunHome? _home;
    private ICollectiveEndpoint? _endpoint;
    private long _version;
    private long _entered; // operations of the generation's collective
    private string? _leaveReason;
    private volatile bool _left, _forgotten;
    private volatile bool _keeps; // it has been told to, and has not come to it
    private volatile RankProgress _progress;

    /// <param name="machine">What the node lends to a seat.</param>
    /// <param name="changed">Told on any thread that the seat is in another phase, or has left its place.</param>
    public RankWorker(SeatId id, long version, SeatOrder order, SeatMachine machine, Action<RankWorker> changed)
    {
        (_version, _order, _machine, _changed) = (version, order, machine, changed);
        _progress = new RankProgress(id, RankPhase.Loading);
        _thread = new Thread(Main) { Name = $"seat-{id.Seat}", IsBackground = true };
        _thread.Start();
    }

    public RankProgress Progress => _progress with { Entered = Interlocked.Read(ref _entered) };

    /// <summary>Until the thread has ended and freed what it had.</summary>
    public bool HoldsItsPlace => !_left;

    public bool IsForgotten => _forgotten;

    /// <summary>As <see cref="IRankWorkers.Take"/>, said again.</summary>
    public bool Take(long version) =>
        Obey(version, () => _leaveReason is null && _progress.Phase is not (RankPhase.Failed or RankPhase.Stopped));

    /// <summary>As <see cref="IRankWorkers.Join"/>.</summary>
    public bool Join(long version, Assignment assignment) => Obey(version, () =>
    {
        if (assignment.Generation == _progress.Generation && _progress.Phase != RankPhase.Parked) return true; // said again
        if (_progress is not { Phase: RankPhase.Parked, Offer: { } offer } || _leaveReason is not null) return false;
        if (assignment.Generation <= _progress.Generation || assignment.Addresses[assignment.Rank] != offer.Address) return false;
        _abort = new GenerationAbort();
        Interlocked.Exchange(ref _entered, 0);
        Answered();
        Set(_progress with
        {
            Phase = RankPhase.Joining,
            Generation = assignment.Generation,
            Rank = assignment.Rank,
            Offer = null,
            Fault = FaultKind.None,
            Error = null,
            BadPeer = null,
            BadPeerMayBeGone = false,
        });
        _mailbox.Add(new SeatTask.Join(assignment, _abort));
        return true;
    });

    /// <summary>As <see cref="IRankWorkers.Part"/>.</summary>
    public bool Part(long version, long generation) => Obey(version, () =>
    {
        if (_home is not { } home || _progress.Generation != generation || _progress.Phase == RankPhase.Parked) return false;
        home.PartingGeneration = generation;
        return true;
    });

    /// <summary>As <see cref="IRankWorkers.Break"/>.</summary>
    public bool Break(long version, long generation, string reason) => Obey(version, () =>
    {
        if (_progress.Generation != generation || _progress.Phase is RankPhase.Failed or RankPhase.Stopped) return false;
        if (_progress.Phase == RankPhase.Finished) _mailbox.Add(new SeatTask.Park());
        else _abort?.Abort(reason);
        return true;
    });

    /// <summary>As <see cref="IRankWorkers.Keep"/>.</summary>
    public bool Keep(long version) => Obey(version, () =>
    {
        if (_progress.Phase != RankPhase.Parked || _leaveReason is not null) return false;
        if (!_keeps) _mailbox.Add(new SeatTask.Keep());
        return _keeps = true;
    });

    /// <summary>As <see cref="IRankWorkers.Leave"/>.</summary>
    public bool Leave(long version, string reason) => Obey(version, () =>
    {
        _leaveReason ??= reason;
        _abort?.Abort(reason);
        _leave.Cancel();
        return true;
    });

    /// <summary>As <see cref="IRankWorkers.Answered"/>.</summary>
    public void Answered() => _home?.Coordinator.Answered();

    /// <summary>Its end was heard of; it is ended if it has not come to one.</summary>
    public void Forget()
    {
        _forgotten = true;
        Leave(long.MaxValue, "forgotten");
    }

    /// <returns>Whether its thread has ended.</returns>
    public bool WaitForEnd(TimeSpan patience) => _thread.Join(patience);

    /// <summary>Refuses what follows from an older state of the coordinator than something that was obeyed.</summary>
    private bool Obey(long version, Func<bool> order)
    {
        lock (_gate)
        {
            if (version < _version) return false;
            if (version != long.MaxValue) _version = version;
            return order();
        }
    }

    private void Main()
    {
        DeviceClaim? device = null;
        try
        {
            Activity.Watch(Tell);
            _machine.CheckFiles(_order);
            var spec = _machine.Prepare(_order, _progress.Id.Run, out device);
            set_num_threads(_machine.Threads(_progress.Id.Run)); // libtorch keeps this per thread, and CUDA the current device
            if (device is not null) Cuda.Use(device.Index);
            Publish(_progress with { Device = device?.Index });
            using var flash = device is null ? null : FlashSwitch.For(spec.Precision);
            using var metrics = new SeatMetrics(_progress.Id, _machine.Node, _clock, device?.Index);
            using var home = RunHome.Load(spec, RankCompute.Of(spec, device?.Index), _order.Output, metrics, _leave.Token);
            _home = home;
            try
            {
                home.OpenShards(_machine.OpenChannels);
                Park(null);
                while (true) Do(_mailbox.Take(_leave.Token), device);
            }
            catch (OperationCanceledException) when (_leaveReason is not null)
            {
                if (!_forgotten) StateCheckpoint.KeepOnLeaving(home, _progress.Generation);
                throw;
            }
        }
        // The top frame of the seat's thread: whatever went wrong becomes its last word, for the coordinator to act upon.
        catch (Exception error)
        {
            if (RankFault.KindOf(error) == FaultKind.Seat) device?.Withdraw();
            Publish(_leaveReason is { } reason
                ? _progress with { Phase = RankPhase.Stopped, Error = reason, Offer = null }
                : _progress with { Phase = RankPhase.Failed, Error = Explain(error), Fault = RankFault.KindOf(error), Offer = null });
        }
        finally
        {
            _endpoint?.Dispose();
            device?.Dispose();
            _left = true;
            _changed(this);
        }
    }

    private void Do(SeatTask task, DeviceClaim? device)
    {
        switch (task)
        {
            case SeatTask.Join(var assignment, var abort):
                Do(assignment, abort, device);
                break;
            case SeatTask.Keep:
                if (StateCheckpoint.Keep(_home!, _progress.Generation)) Publish(_progress with { CheckpointStep = _progress.Step });
                _keeps = false;
                _changed(this);
                break;
            case SeatTask.Park when _progress.Phase == RankPhase.Finished:
                Park(null);
                break;
        }
    }

    private void Do(Assignment assignment, GenerationAbort abort, DeviceClaim? device)
    {
        try
        {
            set_num_threads(_machine.Threads(_progress.Id.Run));
            using var collective = Connect(assignment, abort, device);
            using var parts = GenerationBuilder.Build(
                _home!, collective, assignment.Source, assignment.Cause, assignment.Shards, abort.Token);
            // When it has finished, it stays, with its state, until it is told to leave.
            if (new Trainer(_home!, parts, Publish, abort.Token).Run(_progress)) return;
        }
        catch (Exception error) when (_leaveReason is null && (abort.Reason is not null || RankFault.KindOf(error) == FaultKind.Echo))
        {
            _home!.Writer.GiveUp();
            Park(abort.Reason is null ? error : null);
            return;
        }
        catch (Exception) when (_leaveReason is not null)
        {
            _leave.Token.ThrowIfCancellationRequested();
        }
        Park(null);
    }

    /// <summary>Opens a new end for the next generation.</summary>
    /// <param name="broken">Why the last one was left; null at a boundary, or where it was told to.</param>
    private void Park(Exception? broken)
    {
        if (_progress.Generation > 0) _home!.Park();
        _endpoint?.Dispose(); // good for one attempt
        _endpoint = _machine.Open(_order.Collective, _home!.Compute.Device.type == DeviceType.CPU ? null : _home.Compute.Device.index);
        Publish(_progress with
        {
            Phase = RankPhase.Parked,
            Offer = _home.Offer(_endpoint.Address, _progress.Generation),
            Step = _home.State.Position.Step,
            Fault = broken is null ? FaultKind.None : FaultKind.Echo,
            Error = broken?.Message,
            BadPeer = (broken as CollectiveException)?.Peer,
            BadPeerMayBeGone = broken is CollectiveException { PeerMayBeGone: true },
        });
    }

    private ICollective Connect(Assignment assignment, GenerationAbort abort, DeviceClaim? device)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(abort.Token);
        timeout.CancelAfter(ConnectTimeout);
        var collective = _endpoint!.Connect(assignment.Generation, assignment.Rank, assignment.Addresses, timeout.Token);
        if (device is not null && !collective.TakesDeviceMemory) collective = new HostStaging(collective);
        abort.Attach(collective);
        return new CountedCollective(collective, operation => Interlocked.Exchange(ref _entered, operation));
    }

    /// <summary>From this thread, and from those that read rows for it.</summary>
    private void Tell(PartProgress part)
    {
        lock (_gate) _progress = _progress with { Part = part };
    }

    private void Publish(RankProgress progress)
    {
        bool enters;
        lock (_gate) enters = Set(progress);
        if (enters) _changed(this); // left unsaid, a phase of milliseconds would show for a second
    }

    /// <summary>Under the gate.</summary>
    /// <returns>Whether the phase is another.</returns>
    private bool Set(RankProgress progress)
    {
        var enters = progress.Phase != _progress.Phase;
        _progress = progress with { Part = enters ? null : _progress.Part };
        return enters;
    }

    /// <summary>What is said of a fault, without a stack for what a user can mend; other stacks go to the node's log.</summary>
    internal static string Explain(Exception error)
    {
        if (error is InputException or CollectiveException or RankFault or LibTorchException or IOException or UnauthorizedAccessException)
            return error.Message;
        Console.Error.WriteLine(error);
        return $"{error.GetType().Name}: {error.Message.Split('\n')[0].Trim()} (the node's log has where)";
    }
}
