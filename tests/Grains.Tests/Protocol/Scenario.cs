using System.Globalization;
using System.Text;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Protocol;

namespace Phi3VCluster.Grains.Tests.Protocol;

/// <summary>
/// A scenario file: each line at the margin is an event, the indented lines below it are the state and the commands it leads to.
/// Replaying the events writes the file anew.
/// </summary>
internal static class Scenario
{
    public static string Replay(string text)
    {
        var state = Rendezvous.New;
        var result = new StringBuilder();
        foreach (var line in text.Split('\n').Where(l => l.Length > 0 && !l.StartsWith(' ')))
        {
            result.Append(line).Append('\n');
            if (line.StartsWith('#')) continue;
            var decision = state.Apply(Parse(line));
            state = decision.State;
            result.Append("  ").Append(decision.Stale ? "stale" : Describe(state)).Append('\n');
            foreach (var command in decision.Commands) result.Append("  > ").Append(Describe(command).Replace("\n", "\\n")).Append('\n');
        }
        return result.ToString();
    }

    private static RunEvent Parse(string line)
    {
        var words = line.Split(' ');
        return words[0] switch
        {
            "leased" => new RunEvent.Leased([.. words[1..].Select((node, rank) => new RankPlace(rank, node, $"silo-{node}"))]),
            "joined" => new RunEvent.Joined(Generation(), Rank(), words[3]),
            "refused" => new RunEvent.Refused(Generation(), Rank(), [Rest(3)]),
            "reported" when words[3] == nameof(ReportedPhase.Prepared)
                => new RunEvent.Reported(Generation(), Rank(), ReportedPhase.Prepared, Int(words[4]), null, Rest(5)),
            "reported" => new RunEvent.Reported(
                Generation(), Rank(), Enum.Parse<ReportedPhase>(words[3]), Int(words[4]), words.Length > 5 ? Rest(5) : null),
            "echoed" => new RunEvent.Reported(Generation(), Rank(), ReportedPhase.Failed, 0, Rest(3), IsEcho: true),
            "rank-lost" => new RunEvent.RankLost(Generation(), Rank(), Rest(3)),
            "node-lost" => new RunEvent.NodeLost(words[1], Rest(2)),
            "timeout" => new RunEvent.TimedOut(Generation(), Enum.Parse<RunTimer>(words[2], ignoreCase: true)),
            "cancel" => new RunEvent.CancelRequested(),
            "reactivated" => new RunEvent.Reactivated(),
            _ => throw new FormatException($"no event: {line}"),
        };

        long Generation() => Int(words[1][1..]);
        int Rank() => Int(words[2][1..]);
        string Rest(int from) => string.Join(' ', words[from..]);
        static int Int(string word) => int.Parse(word, CultureInfo.InvariantCulture);
    }

    private static string Describe(Rendezvous state) => $"generation {state.Generation} " + state.Phase switch
    {
        RunPhase.Gathering p => $"gathering, joined [{string.Join(' ', p.Addresses.Select(a => $"{a.Key}={a.Value}"))}]",
        RunPhase.Running p => $"running, waiting [{string.Join(' ', p.Waiting.Select(w => $"{w.Key}@{w.Value}"))}] "
            + $"passed {p.PassedEpoch} finished [{string.Join(' ', p.Finished)}]",
        RunPhase.Stopping p => $"stopping, remaining [{string.Join(' ', p.Remaining)}]",
        RunPhase.Failed p => $"failed: {p.Error.Replace("\n", "\\n")}",
        var p => p.GetType().Name.ToLowerInvariant(),
    };

    private static string Describe(RunCommand command) => command switch
    {
        RunCommand.Prepare c => $"prepare {c.Place.Rank}@{c.Place.Node}",
        RunCommand.Begin c => $"begin {c.Place.Rank}@{c.Place.Node} with {string.Join(' ', c.Addresses)}",
        RunCommand.PassBarrier c => $"pass barrier {c.Epoch} {c.Place.Rank}@{c.Place.Node}",
        RunCommand.Abort c => $"abort {c.Place.Rank}@{c.Place.Node}: {c.Reason}",
        RunCommand.StartTimer c => $"start timer {c.Kind}",
        RunCommand.Log c => $"log {c.Text}",
        _ => command.GetType().Name.ToLowerInvariant(),
    };
}
