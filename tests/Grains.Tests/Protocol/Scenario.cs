using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Protocol;
using Phi3VCluster.Grains.Runs;

namespace Phi3VCluster.Grains.Tests.Protocol;

/// <summary>
/// A scenario file: each line at the margin is an event, the indented lines below it are the state and the commands it leads to.
/// Replaying the events writes the file anew. Lines:
/// <code>
/// run 2..4                            its ranks, least and most; the first line
/// tend n1 n1 n2 [lost:n2] [drain:n3] [recall:2] [yield:]  the nodes of all seats, by number (silo-n1; n1' is the node's next silo)
/// hear 0:Parked g1 @3 a0, 1:Training g1 s7 e40, 2:Failed Run text, 3:Parked g1 h1@3/Step:3of4 h1@3:0of4
/// wait 2.5                            seconds pass, a tick every quarter
/// lose n1 · cancel · reactivate · resume
/// </code>
/// </summary>
internal sealed class Scenario
{
    private static readonly RunTimings Timings = new();
    private readonly StringBuilder _result = new();
    private long _reports;
    private Rendezvous _state = Rendezvous.New(new(1, 1));
    private DateTimeOffset _now = DateTimeOffset.UnixEpoch;
    private Heard _heard = Heard.Nothing(DateTimeOffset.UnixEpoch);

    public static string Replay(string text)
    {
        var scenario = new Scenario();
        foreach (var line in text.Split('\n').Where(l => l.Length > 0 && !l.StartsWith(' '))) scenario.Play(line);
        return scenario._result.ToString();
    }

    private void Play(string line)
    {
        _result.Append(line).Append('\n');
        if (line.StartsWith('#')) return;
        var words = line.Split(' ');
        switch (words[0])
        {
            case "run":
                _state = Rendezvous.New(Limits(words[1]));
                break;
            case "wait":
                for (var left = double.Parse(words[1], CultureInfo.InvariantCulture); left > 0; left -= 0.25)
                {
                    _now += TimeSpan.FromSeconds(0.25);
                    Apply(new RunEvent.Tick(), isQuiet: true);
                }
                break;
            default:
                Apply(Parse(words, line), isQuiet: false);
                break;
        }
    }

    private void Apply(RunEvent happened, bool isQuiet)
    {
        var decision = _state.Apply(_heard, happened, _now, Timings);
        var isNews = !ReferenceEquals(decision.State, _state) || decision.Commands.Length > 0;
        (_state, _heard) = (decision.State, decision.Heard);
        if (isQuiet && !isNews) return;
        _result.Append("  ");
        if (isQuiet) _result.Append(CultureInfo.InvariantCulture, $"at {(_now - DateTimeOffset.UnixEpoch).TotalSeconds}: ");
        _result.Append(Describe(_state)).Append('\n');
        if (decision.Stale.Length > 0) _result.Append("  stale ").AppendJoin(' ', decision.Stale).Append('\n');
        foreach (var command in decision.Commands) _result.Append("  > ").Append(Describe(command).Replace("\n", "\\n")).Append('\n');
    }

    private RunEvent Parse(string[] words, string line) => words[0] switch
    {
        "tend" => new RunEvent.Tended(
            [.. words[1..].Where(w => !w.Contains(':')).Select((node, seat) => new SeatPlace(seat, node.TrimEnd('\''), $"silo-{node}"))],
            [.. Named(words, "lost").Select(Lost)],
            [
                .. Named(words, "drain").Select(node => new DrainingNode(node, InHurry: false)),
                .. Named(words, "stop").Select(node => new DrainingNode(node, InHurry: true)),
            ],
            words.Contains("yield:"), Named(words, "recall").Select(seat => int.Parse(seat, CultureInfo.InvariantCulture)).ToHashSet()),
        "lose" => new RunEvent.SilosLost([.. words[1..].Select(Lost)]),
        "hear" => new RunEvent.Reported("any", ++_reports, [.. Regex.Split(line["hear ".Length..], @", (?=\d+:)").Select(Report)]),
        "cancel" => new RunEvent.CancelRequested(),
        "reactivate" => new RunEvent.Reactivated(),
        "resume" => new RunEvent.Resumed(Limits(words[1])),
        _ => throw new FormatException($"no event: {line}"),
    };

    private static IEnumerable<string> Named(string[] words, string what) =>
        words.Where(w => w.StartsWith(what + ":", StringComparison.Ordinal)).Select(w => w[(what.Length + 1)..]);

    private static LostSilo Lost(string node) => new($"silo-{node}", $"{node} was lost: its silo is gone");

    private static RankLimits Limits(string word) => new(int.Parse(word.Split("..")[0]), int.Parse(word.Split("..")[1]));

    /// <summary>0:Parked g1 @3/Export a0 [k3] [cuda:0] [dead] [f=print] [peer=1] · 0:Failed [g1] Seat why …</summary>
    private static RankReport Report(string text)
    {
        var words = text.Split(' ');
        var report = new RankReport
        {
            Seat = int.Parse(words[0].Split(':')[0], CultureInfo.InvariantCulture),
            Phase = Enum.Parse<ReportedPhase>(words[0].Split(':')[1]),
        };
        var offer = new ReportedOffer($"a{report.Seat}", 0, 0, ReportedStage.EvaluateBefore, false, "same");
        for (var i = 1; i < words.Length; i++)
        {
            var word = words[i];
            if (word[0] == 'g') report = report with { Generation = long.Parse(word[1..], CultureInfo.InvariantCulture) };
            else if (word[0] == 's') report = report with { Step = long.Parse(word[1..], CultureInfo.InvariantCulture) };
            else if (word[0] == '@') offer = offer with
            {
                Step = long.Parse(word[1..].Split('/')[0], CultureInfo.InvariantCulture),
                Stage = word.Contains('/') ? Enum.Parse<ReportedStage>(word.Split('/')[1]) : ReportedStage.Step,
                IsLive = true,
            };
            else if (word[0] == 'k') report = report with { CheckpointStep = long.Parse(word[1..], CultureInfo.InvariantCulture) };
            else if (word[0] == 'e') report = report with { Entered = long.Parse(word[1..], CultureInfo.InvariantCulture) };
            else if (word[0] == 'h') offer = offer with { Courier = $"c{report.Seat}", Held = [.. offer.Held ?? [], Held(word)] };
            else if (word.StartsWith("cuda:", StringComparison.Ordinal))
                report = report with { Device = int.Parse(word[5..], CultureInfo.InvariantCulture) };
            else if (word == "dead") offer = offer with { IsLive = false };
            else if (word.StartsWith("peer=", StringComparison.Ordinal))
                report = report with { BadPeer = int.Parse(word[5..], CultureInfo.InvariantCulture) };
            else if (word.StartsWith("f=", StringComparison.Ordinal)) offer = offer with { Fingerprint = word[2..].Replace('_', ' ') };
            else if (Regex.IsMatch(word, @"^[a-z]\d+$")) offer = offer with { Address = word };
            else if (Enum.TryParse<ReportedFault>(word, out var fault))
            {
                report = report with { Fault = fault, Error = string.Join(' ', words[(i + 1)..]) };
                break;
            }
            else throw new FormatException($"no report: {text}");
        }
        return report.Phase == ReportedPhase.Parked ? report with { Offer = offer with { Generation = report.Generation } } : report;
    }

    /// <summary>h1@7/Step:0,1of2: of step 7 of generation 1, cut for two ranks, both parts, and what goes with them.</summary>
    private static ReportedShards Held(string word)
    {
        var match = Regex.Match(word, @"^h(\d+)@(\d+)(?:/(\w+))?:([\d,]+)of(\d+)$");
        return new(Number(1), Number(2), match.Groups[3].Success ? Enum.Parse<ReportedStage>(match.Groups[3].Value) : null,
            (int)Number(5), [.. match.Groups[4].Value.Split(',').Select(rank => int.Parse(rank, CultureInfo.InvariantCulture))]);

        long Number(int group) => long.Parse(match.Groups[group].Value, CultureInfo.InvariantCulture);
    }

    private static string Describe(ShardSources shards)
    {
        var holders = string.Join(' ', shards.Holders.Select(holder => $"{holder.Rank}at{holder.Courier}"));
        return $"the parts of step {shards.Step} of generation {shards.Generation}: "
            + $"{holders} of {shards.WorldSize}, words at {shards.Words}";
    }

    private static string Describe(Rendezvous run)
    {
        var seats = $"[{string.Join(' ', run.Seats.Values.Select(s => $"{s.Number}@{s.Node}{(s.IsSilent ? "?" : "")}"))}]";
        return $"v{run.Version} " + run.Phase switch
        {
            RunPhase.Gathering p => $"gathering {run.Generation + 1} {seats}, because {p.Why}",
            RunPhase.Running p => $"running {run.Generation} [{string.Join(' ', run.Members.Select(m => m.Seat))}] of {seats}"
                + (p.Boundary.IsEmpty ? "" : $", boundary because {string.Join(" and ", p.Boundary)}"),
            RunPhase.Parting p => $"parting {run.Generation}{(p.IsBroken ? " broken" : "")}, "
                + $"remaining [{string.Join(' ', p.Remaining)}], because {p.Breakup.Why}",
            RunPhase.Stopping => $"stopping, remaining {seats}",
            RunPhase.Failed p => $"failed: {p.Error.Replace("\n", "\\n")}",
            var p => p.GetType().Name.ToLowerInvariant(),
        };
    }

    private static string Describe(RunCommand command) => command switch
    {
        RunCommand.Take c => $"take {At(c)}",
        RunCommand.Join c => $"join {At(c)} generation {c.Generation} as rank {c.Rank} "
            + $"of {string.Join(' ', c.Addresses)} "
            + $"from {(c.Shards is { } shards ? Describe(shards) : $"rank {c.Source}")}, because {c.Cause}",
        RunCommand.Part c => $"part {At(c)} generation {c.Generation}",
        RunCommand.Break c => $"break {At(c)} generation {c.Generation}: {c.Reason}",
        RunCommand.Keep c => $"keep {At(c)}",
        RunCommand.Leave c => $"leave {At(c)}: {c.Reason}",
        RunCommand.Log c => $"log {c.Text}",
        RunCommand.CountRecovery c => $"count {c.Cause.ToString().ToLowerInvariant()}",
        _ => command.GetType().Name.ToLowerInvariant(),
    };

    private static string At(RunCommand.ToSeat command) => $"{command.Seat.Number}@{command.Seat.Node}";
}
