using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;

namespace Phi3VCluster.Bench.Gpu;

/// <summary>One command for a borrowed machine with a GPU: what must hold there, and how fast it is.</summary>
internal static class GpuCommand
{
    public static IEnumerable<Command> All()
    {
        var only = new Option<string[]>("--only")
        {
            Description = "Names of checks; all without it.",
            AllowMultipleArgumentsPerToken = true,
        };
        var file = new Option<string?>("--json") { Description = "Write every row there too." };
        var gpu = new Command("gpu", "Checks and measurements for a machine with a GPU, each on a line of its own.") { only, file };
        gpu.SetAction(parsed => Run(parsed.GetValue(only) ?? [], parsed.GetValue(file)));
        yield return gpu;

        var names = new Argument<string[]>("NAMES");
        var child = new Command(GpuChecks.ChildVerb, "Some of the checks of gpu; started by it.") { Hidden = true };
        child.Arguments.Add(names);
        child.SetAction(parsed => GpuChecks.RunHere(parsed.GetValue(names)!));
        yield return child;

        var number = new Argument<int>("RANK");
        var rank = new Command(NcclRank.Verb, "One of two ranks on one GPU; started by nccl.") { Hidden = true };
        rank.Arguments.Add(number);
        rank.SetAction(parsed => NcclRank.Run(parsed.GetValue(number)));
        yield return rank;
    }

    private static int Run(IReadOnlyList<string> only, string? file)
    {
        var started = Stopwatch.GetTimestamp();
        var rows = new List<GpuRow>();
        foreach (var row in GpuChecks.Run(only))
        {
            rows.Add(row);
            var mark = row.Passed switch { true => "ok", false => "FAILED", null => "" };
            var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
            Console.WriteLine($"{seconds,6:f1} s  {row.Check,-12} {mark,-6} {row.What}: {row.Found}");
        }
        if (file is not null) File.WriteAllText(file, JsonSerializer.Serialize(rows));
        return rows.Any(row => row.Passed == false) ? 1 : 0;
    }
}
