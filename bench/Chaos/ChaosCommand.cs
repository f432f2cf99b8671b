using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Spectre.Console;

namespace Phi3VCluster.Bench.Chaos;

/// <summary>The verb <c>chaos</c>: hurts a cluster while a run trains on it, and counts what that cost.</summary>
internal sealed class ChaosCommand : Command
{
    private static readonly JsonSerializerOptions SnakeCase = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
    };

    public ChaosCommand() : base("chaos", "Kill, freeze, drain and add silos under a run, and count what it cost.")
    {
        var faults = new Option<int>("--faults") { Description = "How many, one after the other.", DefaultValueFactory = _ => 8 };
        var seed = new Option<int>("--seed") { Description = "Draws which, where and how long.", DefaultValueFactory = _ => 1 };
        var load = new Option<int>("--load") { Description = "So many other processes keep the machine busy meanwhile." };
        var seconds = new Option<int>("--seconds") { Description = "The run lasts so long at least, with or without faults." };
        var method = new Option<string>("--method")
        {
            Description = "lora, whose state every rank has; or full, in parts.",
            DefaultValueFactory = _ => "lora",
        };
        var keep = new Option<string?>("--keep") { Description = "A new folder for files, records and logs, which then stay." };
        var json = new Option<bool>("--json") { Description = "One JSON document instead of a table." };
        foreach (var option in (Option[])[faults, seed, load, seconds, method, keep, json]) Options.Add(option);
        SetAction(parsed =>
        {
            using var busy = new BusyMachine(parsed.GetValue(load));
            var least = TimeSpan.FromSeconds(parsed.GetValue(seconds));
            var kept = parsed.GetValue(keep);
            var folder = kept is null ? Directory.CreateTempSubdirectory("phi3v-chaos-") : Directory.CreateDirectory(kept);
            try
            {
                var run = new ChaosRun(folder.FullName, parsed.GetValue(method)!, parsed.GetValue(faults), parsed.GetValue(seed), least);
                return Run(run, parsed.GetValue(json));
            }
            finally
            {
                if (kept is null) folder.Delete(recursive: true);
            }
        });
    }

    private static int Run(ChaosRun run, bool json)
    {
        var report = run.Play(fault => Console.Error.WriteLine(
            $"step {fault.Step}: {fault.Kind} of {fault.Node}: longest gap {fault.LongestGap} s, well after {fault.SettledAfter} s"));
        if (json) Console.WriteLine(JsonSerializer.Serialize(report, SnakeCase));
        else Show(report);
        return report is { SamplesTwice: 0, SamplesMissing: 0, PartsLeft: 0, ProcessesLeft: 0, FromReplay.FirstStep: null }
            && report.Faults.All(fault => fault.SettledAfter is not null) ? 0 : 1;
    }

    private static void Show(ChaosReport report)
    {
        var table = new Table().AddColumns("fault", "times", "generations", "longest gap between steps, s", "well after, s");
        foreach (var kind in report.Faults.GroupBy(fault => fault.Kind.Split(' ')[0]))
            table.AddRow(kind.Key, $"{kind.Count()}", $"{kind.Sum(fault => fault.Generations)}",
                Range(kind.Select(fault => fault.LongestGap)), Range(kind.Select(fault => fault.SettledAfter ?? double.NaN)));
        AnsiConsole.Write(table);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{report.Method}, seed {report.Seed}: {report.Steps} steps in {report.Generations} generations, "
            + $"{report.StepsLost} of them lost; samples twice in an epoch {report.SamplesTwice}, missing {report.SamplesMissing}; "
            + $"losses: {Losses(report)}; "
            + $"a silo's threads {report.HeldBefore.Threads} before, {report.HeldAfter.Threads} after, "
            + $"its open files {report.HeldBefore.Files} before, {report.HeldAfter.Files} after; "
            + $"half-written files left {report.PartsLeft}, processes {report.ProcessesLeft}"));
    }

    private static string Losses(ChaosReport report) => string.Create(CultureInfo.InvariantCulture,
        $"difference from a run over as many ranks at each step, to which nothing happened, {report.FromReplay.Words("the")}; "
        + $"from the undisturbed run's {report.FromUndisturbed.Words($"more than {ChaosRun.Slight:G1}")} "
        + $"(two undisturbed runs, on three ranks and on two, are at most {report.Rounding:G3} apart)");

    private static string Range(IEnumerable<double> seconds)
    {
        List<double> sorted = [.. seconds.Order()];
        return sorted.Count == 1 || sorted[0] == sorted[^1]
            ? sorted[0].ToString("0.0", CultureInfo.InvariantCulture)
            : string.Create(CultureInfo.InvariantCulture, $"{sorted[0]:0.0} to {sorted[^1]:0.0}");
    }
}
