using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <content>How parked seats become a generation.</content>
internal sealed partial class RunTurn
{
    private void FormWhenReady(RunPhase.Gathering gathering)
    {
        if (IsAwaited(gathering)) return;
        var parked = _run.Seats.Values.Where(seat => _heard.IsParked(seat.Number) && !_run.IsLeftOut(seat.Number, now)).ToList();
        var staying = parked.Where(seat => !_run.IsWantedBack(seat)).ToList();
        var members = staying.Count < _run.Limits.Min ? parked : staying; // those that should leave are still needed
        if (members.Count < _run.Limits.Min) return;

        // Seats that leave have their parts to give first, unless that was tried in vain.
        var givers = Offers(_run.Budget.Futile == 0 ? parked : members);
        var most = _run.Limits.Max;
        if (WhoHandsOver(parked, members, givers) is { } source) (members, most) = ([.. members, source], most + 1);

        var plan = RestorePlan.Of(Offers(members), givers);
        foreach (var (odd, what) in plan.Odd) Refuse(_run.Seats[odd], new(Name(_run.Seats[odd]), what));
        if (plan.Odd.Count == 0) Form(gathering, members, plan, most);
        else if (_run.Phase is RunPhase.Gathering rest) FormWhenReady(rest);
    }

    /// <summary>
    /// The seat that leaves and alone has, whole, what the run has come to: it is in one generation more, to which it gives its state.
    /// Null where those that stay have it, or can fetch it in parts.
    /// </summary>
    private Seat? WhoHandsOver(List<Seat> parked, List<Seat> members, List<(int Seat, ReportedOffer Offer)> givers)
    {
        var (all, without) = (RestorePlan.Of(Offers(parked), givers), RestorePlan.Of(Offers(members), givers));
        return without.Position.CompareTo(all.Position) >= 0 ? null : _run.Seats[all.Source];
    }

    /// <summary>
    /// Whether somebody is still waited for: all seats of the first generation; later only those that are about to park, and a
    /// coordinator that has just begun to listen gives each the time for a report.
    /// </summary>
    private bool IsAwaited(RunPhase.Gathering gathering)
    {
        if (_run.Seats.IsEmpty) return true;
        if (gathering.IsFirst)
        {
            foreach (var seat in _run.Seats.Keys)
                if (!_heard.IsParked(seat)) return true;
            return false;
        }
        if (now - _heard.Since > timings.Settle && now - gathering.OpenedAt > timings.Settle) return false;
        foreach (var (number, seat) in _run.Seats)
            if (!seat.IsSilent && !_heard.IsParked(number) && _heard.Of(number) is not { Report.Phase: ReportedPhase.Loading }) return true;
        return false;
    }

    /// <param name="most">Ranks: the run's limit, and whoever hands its state over.</param>
    private void Form(RunPhase.Gathering gathering, List<Seat> parked, RestorePlan plan, int most)
    {
        // Neighbours share a node, and the nodes that were there first come first.
        var first = parked.GroupBy(seat => seat.Node).ToDictionary(group => group.Key, group => group.Min(seat => seat.Number));
        var ordered = parked.OrderBy(seat => first[seat.Node]).ThenBy(seat => seat.Number).ToList();
        if (ordered.Count > most)
        {
            var source = ordered.Find(seat => seat.Number == plan.Source)!;
            ordered = [.. ordered.Where(seat => seat != source).Take(most - 1).Append(source)
                .OrderBy(seat => first[seat.Node]).ThenBy(seat => seat.Number)];
        }
        var generation = Math.Max(_run.Generation, _run.Seats.Keys.Max(seat => _heard.Of(seat)?.Report is { } r
            ? Math.Max(r.Generation, r.Offer?.Generation ?? 0) : 0)) + 1;
        var seconds = (now - gathering.Since).TotalSeconds;
        _run = (_run with
        {
            Generation = generation,
            Members = [.. ordered.Select(seat => new Member(seat.Number, _heard.Of(seat.Number)!.Report.Offer!.Address))],
            Source = ordered.FindIndex(seat => seat.Number == plan.Source),
            Shards = WithRanks(plan.Shards, ordered),
            Start = plan.Position,
            BeganAt = now,
            Phase = RunPhase.Running.Plain,
        }).With(new FormedGeneration(generation, ordered.Count, gathering.Why, plan.Position.Step + 1, Math.Round(seconds, 3)));
        _ranks = null;
        _heard = _heard with { Stall = _heard.Stall.Begin(ordered.Select(seat => seat.Node), now) };
        var ranks = ordered.Count == 1 ? "1 rank" : $"{ordered.Count} ranks";
        Log($"generation {generation} begins at step {plan.Position.Step + 1} with {ranks}"
            + FormattableString.Invariant($" after {seconds:0.0} s"));
        var addresses = Addresses();
        for (var rank = 0; rank < ordered.Count; rank++)
            _commands.Add(new RunCommand.Join(ordered[rank], generation, rank, addresses, _run.Source, gathering.Why, _run.Shards));
        GiveUpIdle();
    }

    /// <summary>Says which of the holders are ranks: whoever does not reach one can then say to whom the connection is bad.</summary>
    private ShardSources? WithRanks(ShardSources? shards, List<Seat> ordered)
    {
        if (shards is null) return null;
        List<string> couriers = [.. Offers(ordered).Select(one => one.Offer.Courier)];
        return shards with { Holders = [.. shards.Holders.Select(holder => holder with { Member = couriers.IndexOf(holder.Courier) })] };
    }

    private List<(int Seat, ReportedOffer Offer)> Offers(IEnumerable<Seat> parked) =>
        [.. parked.Select(seat => (seat.Number, _heard.Of(seat.Number)!.Report.Offer!))];

    /// <summary>
    /// A run that cannot go on leaves its seats to another and waits. First what it has come to is written down, by the seat that is
    /// furthest; it is told so each time, until it says that a checkpoint holds it.
    /// </summary>
    private void Yield()
    {
        if (_run.Phase is not RunPhase.Gathering || _run.Seats.Count >= _run.Limits.Min) return; // it has what it needs by now
        if (_run.Seats.Values.Any(IsUnheard)) return;
        var offers = Offers(_run.Seats.Values.Where(seat => _heard.IsParked(seat.Number)));
        if (offers.Count > 0 && RestorePlan.Of(offers, []) is { Offer: { IsLive: true } offer } plan
            && _heard.Of(plan.Source)!.Report.CheckpointStep < offer.Step)
        {
            _commands.Add(new RunCommand.Keep(_run.Seats[plan.Source]));
            return;
        }
        Log($"leaves its {Seats(_run.Seats.Count)} to another run: it needs {_run.Limits.Min}, and waits");
        GiveUp([.. _run.Seats.Values], "another run gets its place");
        _run = _run with
        {
            Phase = new RunPhase.Queued(),
            Members = [],
            Budget = default,
            LeftOut = _run.LeftOut.Clear(),
            Refusing = _run.Refusing.Clear(),
        };
        _ranks = null;
    }

    /// <summary>Whether it may have more than the others say.</summary>
    private bool IsUnheard(Seat seat) => !seat.IsSilent
        && _heard.Of(seat.Number) is not { Report.Phase: ReportedPhase.Parked or ReportedPhase.Loading };

    /// <summary>A seat cannot be in the run. That concerns the seat, unless too few are left before the run ever began.</summary>
    private void Refuse(Seat seat, Fault fault)
    {
        Log($"{fault.Who} cannot take part: {fault.Text}");
        _commands.Add(new RunCommand.Leave(seat, fault.Text));
        Drop([seat.Number]);
        _run = _run with { Refusing = _run.Refusing.Add(seat.Silo) };
        if (_run.Phase is not RunPhase.Gathering { IsFirst: true } gathering) return;
        var refusals = gathering.Refusals.Add(fault);
        _run = _run with { Phase = gathering with { Refusals = refusals } };
        if (_run.Seats.Count < _run.Limits.Min) Fail(refusals);
    }

    /// <summary>Loading takes as long as it takes, while it gets on.</summary>
    private void RefuseWhoeverHangs()
    {
        if (_run.Phase is RunPhase.Stopping) return;
        foreach (var seat in _run.Seats.Values.Where(Hangs).ToList())
        {
            if (!_run.Seats.ContainsKey(seat.Number)) continue; // the run has ended over another
            var state = _heard.Of(seat.Number) is null ? "nothing was heard of it" : "it loads, and has got no further";
            Refuse(seat, new(Name(seat), FormattableString.Invariant($"{state} for {timings.Load.TotalSeconds:0} s")));
        }
    }

    private bool Hangs(Seat seat) => _heard.Of(seat.Number) is { } news
        ? news.Report.Phase == ReportedPhase.Loading && now - news.ChangedAt > timings.Load
        : _run.Phase is RunPhase.Gathering gathering && now - gathering.Since > timings.Load && now - _heard.Since > timings.Load;
}
