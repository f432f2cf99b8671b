using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Protocol;
using Phi3VCluster.Grains.Ranks;
using Phi3VCluster.Grains.Runs;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>
/// A run's stored state, and the activations of its coordinator: one that counts, and others that do not know that they are over.
/// </summary>
internal sealed class SimRun
{
    private readonly SimShared _shared;
    private readonly Func<string, SimNode?> _siloOf;
    private Activation _current;
    private long _etag;
    private bool _diesStoring;

    public SimRun(SimShared shared, RankLimits limits, Func<string, SimNode?> siloOf)
    {
        (_shared, _siloOf, Stored) = (shared, siloOf, Rendezvous.New(limits));
        _current = new(this);
    }

    public Rendezvous Stored { get; private set; }

    /// <summary>The state goes through its text, as it does in a storage.</summary>
    public bool IsWritten { get; set; }

    /// <summary>Shares of writes that fail, and that are done and not answered.</summary>
    public double Refused { get; set; }

    public double Unanswered { get; set; }

    public void Report(NodeReport report, Action<ReportReply> reply) => _current.Handle(
        new RunEvent.Reported(report.Silo,
            report.Number,
            _shared.Bug == Bug.NotJoinedIsLeft ? [.. report.Seats.Select(Left)] : report.Seats),
        decision => reply(new([.. decision.Stale], decision.State.Version)));

    public void Tend(Tending tending, Action<RunNeeds> reply) => _current.Handle(
        new RunEvent.Tended(tending.Lease.Seats, Lost(tending), tending.Draining, tending.Yields, tending.Recalled),
        decision => reply(decision.State.NeedsOf(
            tending.Lease,
                decision.State.Phase.IsFinal ? new RunStatus { Run = tending.Lease.Run, State = decision.State.Phase.State } : null)));

    private IReadOnlyList<LostSilo> Lost(Tending tending)
    {
        IReadOnlyList<LostSilo> lost = _shared.Bug != Bug.LossesNameNodes ? tending.Lost
            : [.. from silo in tending.Lost
                  from seat in Stored.Seats.Values
                  where seat.Node == silo.Silo.Split('#')[0]
                  select new LostSilo(seat.Silo, silo.Reason)];
        foreach (var silo in lost.Where(silo => Stored.Seats.Values.Any(seat => seat.Silo == silo.Silo)))
            _shared.Require(_siloOf(silo.Silo) is null or { WasFrozen: true }, $"{silo.Silo} is there and is told to be lost");
        return lost;
    }

    /// <summary>
    /// Another activation takes over, and the one before it goes on for a while; for no while, it dies when it next stores.
    /// </summary>
    public void Restart(double ghostSeconds)
    {
        if (ghostSeconds == 0)
        {
            _diesStoring = true;
            return;
        }
        var ghost = _current;
        _shared.World.After(ghostSeconds, () => ghost.IsOver = true);
        _current = new(this);
    }

    private RankReport Left(RankReport report) =>
        report.Phase == ReportedPhase.Parked && Stored.Phase is RunPhase.Running ? report with { Generation = Stored.Generation } : report;

    private sealed class Activation
    {
        private readonly RunTimings _timings;
        private readonly SimRun _run;
        private readonly Queue<(RunEvent Event, Action<Decision>? Then)> _waiting = new();
        private Rendezvous _state;
        private Heard _heard;
        private long _etag;
        private bool _isStoring;

        public Activation(SimRun run)
        {
            (_run, _state, _etag, _heard) = (run, run.Stored, run._etag, Heard.Nothing(run._shared.World.Now));
            _timings = Bug == Bug.RegroupsWithoutWaiting ? new() { Settle = TimeSpan.Zero } : new();
            Handle(new RunEvent.Reactivated());
            if (Bug == Bug.DeadlinesNeverCome) return;
            World.Every(0.5, () =>
            {
                if (!IsOver) Handle(new RunEvent.Tick());
                return !IsOver;
            });
        }

        public bool IsOver { get; set; }

        private World World => _run._shared.World;

        private Bug Bug => _run._shared.Bug;

        public void Handle(RunEvent happened, Action<Decision>? then = null)
        {
            if (IsOver) return;
            _waiting.Enqueue((happened, then));
            while (!_isStoring && _waiting.TryDequeue(out var next)) Take(next.Event, next.Then);
        }

        private void Take(RunEvent happened, Action<Decision>? then)
        {
            var decision = Sabotage(_state.Apply(_heard, happened, World.Now, _timings));
            _heard = decision.Heard;
            if (ReferenceEquals(decision.State, _state))
            {
                Send(decision);
                then?.Invoke(decision);
                return;
            }
            if (Bug == Bug.SendsBeforeItStores) Send(decision);
            _state = decision.State;
            _isStoring = true;
            Store(decision, then);
        }

        private void Store(Decision decision, Action<Decision>? then)
        {
            if (IsOver) return;
            if (World.Chance(_run.Refused))
            {
                World.After(0.2, () => Store(decision, then));
                return;
            }
            if (_run._diesStoring)
            {
                _run._diesStoring = false;
                IsOver = true;
                _run._current = new(_run);
                return;
            }
            if (_etag != _run._etag) // somebody else is ahead: this one is over, and the one that counts reads what was stored
            {
                IsOver = true;
                if (_run._current == this) _run._current = new(_run);
                return;
            }
            if (decision.State.Phase is RunPhase.Queued && _run.Stored.Phase is not RunPhase.Queued)
                _run._shared.Yielded(_run.Stored.Seats.Where(seat => !seat.Value.IsSilent).Select(seat => seat.Key).ToHashSet());
            _run._shared.Require(decision.State.Version > _run.Stored.Version,
                $"version {decision.State.Version} is stored after {_run.Stored.Version}");
            _run.Stored = _state = _run.IsWritten ? Written(decision.State) : decision.State;
            _run._etag++;
            World.Note($"v{decision.State.Version} {decision.State.Phase}");
            if (World.Chance(_run.Unanswered))
            {
                World.After(0.2, () => Store(decision, then));
                return;
            }
            _etag = _run._etag;
            _isStoring = false;
            if (Bug != Bug.SendsBeforeItStores) Send(decision);
            then?.Invoke(decision);
            while (!_isStoring && _waiting.TryDequeue(out var next)) Take(next.Event, next.Then);
        }

        private static Rendezvous Written(Rendezvous state)
        {
            var serializer = new JsonStateSerializer();
            return serializer.Deserialize<Rendezvous>(serializer.Serialize(state))!;
        }

        private void Send(Decision decision)
        {
            foreach (var line in decision.Commands.OfType<RunCommand.Log>()) World.Note($"log {line.Text}");
            var version = decision.State.Version;
            foreach (var silo in decision.Commands.OfType<RunCommand.ToSeat>().GroupBy(command => command.Seat.Silo))
                World.Send(() => _run._siloOf(silo.Key)?.Do(() =>
                {
                    var node = _run._siloOf(silo.Key)!;
                    var stored = _run.Stored.Version;
                    _run._shared.Require(version <= stored, $"an order of version {version} comes, and {stored} is stored");
                    var refusing = silo.Where(command => !Obey(node, version, command)).ToList();
                    List<int> refused = [.. refusing.Where(command => command is RunCommand.Join).Select(command => command.Seat.Number)];
                    if (refused.Count > 0) World.Send(() => _heard = _heard with { Seats = _heard.Seats.RemoveRange(refused) });
                }));
        }

        private static bool Obey(SimNode node, long version, RunCommand.ToSeat command)
        {
            var id = new SeatId(SimDesk.Run, command.Seat.Number);
            return command switch
            {
                RunCommand.Take => node.Take(id, version, new("", "", "")),
                RunCommand.Join c => node.Join(
                    id, version, new(c.Generation, c.Rank, c.Addresses, c.Source, c.Cause, RankGrain.Of(c.Shards))),
                RunCommand.Part c => node.Part(id, version, c.Generation),
                RunCommand.Break c => node.Break(id, version, c.Generation, c.Reason),
                RunCommand.Keep => node.Keep(id, version),
                RunCommand.Leave c => node.Leave(id, version, c.Reason),
                _ => throw new InvalidOperationException(command.GetType().Name),
            };
        }

        private Decision Sabotage(Decision decision)
        {
            var isNews = !ReferenceEquals(decision.State, _state);
            var run = decision.State;
            return Bug switch
            {
                Bug.TakesOnce when !isNews => decision with { Commands = decision.Commands.RemoveAll(c => c is RunCommand.Take) },
                Bug.JoinsOnce when !isNews => decision with { Commands = decision.Commands.RemoveAll(c => c is RunCommand.Join) },
                Bug.VersionsStandStill when isNews => decision with { State = run with { Version = 1 } },
                Bug.RegroupsWithoutWaiting when isNews && run.Phase is RunPhase.Parting parting && _state.Phase is RunPhase.Parting =>
                    decision with { State = run with { Phase = parting with { Remaining = [] } } },
                _ => decision,
            };
        }
    }
}
