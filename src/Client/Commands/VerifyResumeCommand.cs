using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

internal sealed class VerifyResumeCommand : Verb
{
    /// <summary>Sums over another number of ranks round otherwise.</summary>
    private const double Rounding = 1e-5;

    private const int MostTries = 10;

    private static readonly Column[] Columns = [new("step"), new("loss then"), new("loss now"), new("difference")];

    private readonly Argument<string> _run = RunPlace.Argument();
    private readonly Option<int> _steps = new("--steps")
    {
        Description = "So many steps are run again.",
        HelpName = "K",
        DefaultValueFactory = _ => 3,
    };
    private readonly Option<long?> _step = new("--step")
    {
        Description = "From the checkpoint of this step; else one that K steps followed.",
        HelpName = "N",
    };
    private readonly Option<string[]> _set = SpecSource.SetOption();
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public VerifyResumeCommand() : base("verify-resume",
        "Run some steps again from a checkpoint, and compare: to the last bit with as many ranks (fp32, CPU), else within 1e-5.",
        "phi3v verify-resume last --steps 5 --set cluster.maxRanks=1")
    {
        Arguments.Add(_run);
        foreach (var option in (Option[])[_steps, _step, _set, _cluster]) Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var (address, steps) = (ClusterAddress.Find(parsed.GetValue(_cluster)), parsed.GetValue(_steps));
        if (steps < 1) throw new InputException($"--steps: must be at least 1, got {steps}; raise it.");
        var run = new EarlierRun(await RunPlace.FindAsync(parsed.GetRequiredValue(_run), address, interrupted));
        var (from, then, held) = Hold(run.Folder, parsed.GetValue(_step), steps);
        using var _ = held;
        var spec = SpecSource.Check(
            run.Spec([.. parsed.GetRequiredValue(_set), "checkpoint.everySteps=0", "evaluation.everySteps=null"]), address, output);

        var copy = Path.Combine(Path.GetDirectoryName(run.Folder)!, RunIds.NewVerification());
        try
        {
            Copy(from.Folder, Path.Combine(RunCheckpoints.RootOf(copy), Path.GetFileName(from.Folder)));
            held.Dispose();
            output.Line($"running {steps} steps again from step {from.Step} of {Path.GetFileName(run.Folder)} …");
            await StepsSession.RunAsync(new(spec, copy), from.Step + steps, address, output, interrupted);
            return Compare(from.Step, steps, then, Step.Read(copy), output);
        }
        finally
        {
            if (Directory.Exists(copy)) Directory.Delete(copy, recursive: true);
        }
    }

    /// <summary>
    /// The run may go on meanwhile, and replace its checkpoints in less time than this takes: then the newest that serves is another one.
    /// </summary>
    /// <exception cref="InputException">No checkpoint was followed by so many steps.</exception>
    private static (CheckpointEntry From, IReadOnlyDictionary<long, Step> Then, IDisposable Held) Hold(string folder, long? step, int steps)
    {
        for (var tries = 1; ; tries++)
        {
            var then = Step.Read(folder);
            var from = Choose(new(folder), step, then, steps);
            try
            {
                return (from, then, RunCheckpoints.Hold(from.Folder));
            }
            catch (InputException) when (step is null && tries < MostTries)
            {
            }
        }
    }

    /// <exception cref="InputException">No checkpoint was followed by so many steps.</exception>
    private static CheckpointEntry Choose(EarlierRun run, long? step, IReadOnlyDictionary<long, Step> then, int steps)
    {
        run.RequireCheckpoint(step);
        return run.Checkpoints.FirstOrDefault(one => (step is null || one.Step == step) && then.ContainsKey(one.Step + steps))
            ?? throw new InputException($"--steps: no checkpoint of the run was followed by so many steps, got {steps}; "
                + $"it has checkpoints of {string.Join(", ", run.Checkpoints.Select(one => one.Step).Order())} and {then.Count} steps.");
    }

    private static int Compare(
        long from, int steps, IReadOnlyDictionary<long, Step> then, IReadOnlyDictionary<long, Step> now, Output output)
    {
        var rows = Enumerable.Range(1, steps).Select(i => (Then: then[from + i], Now: now[from + i])).ToList();
        var exact = rows.All(row => row.Then.WorldSize == row.Now.WorldSize);
        var largest = rows.Max(row => Math.Abs(row.Now.Loss - row.Then.Loss) / Math.Abs(row.Then.Loss));
        var same = exact
            ? rows.All(row => row.Then == row.Now)
            : largest <= Rounding && rows.All(row => row.Then.SampleIds == row.Now.SampleIds);
        var words = (same, exact) switch
        {
            (true, true) => "the same to the last bit",
            (true, false) =>
                $"the same within {Rounding:g1}, with {Words.Ranks(rows[0].Now.WorldSize)} in place of {rows[0].Then.WorldSize}",
            (false, true) when largest <= Rounding =>
                $"the same within {Rounding:g1} only, though the ranks are as many (16 bits, or another device)",
            _ => "another course",
        };
        output.Result(new
        {
            From = from,
            Steps = steps,
            Same = same,
            BitIdentical = exact && same,
            LargestDifference = largest,
            WorldSizeThen = rows[0].Then.WorldSize,
            WorldSizeNow = rows[0].Now.WorldSize,
        }, to =>
        {
            Tables.Write(to, Columns, rows.Select((row, i) => (string[])
            [
                $"{from + i + 1}", $"{row.Then.Loss:R}", $"{row.Now.Loss:R}",
                (row.Now.Loss - row.Then.Loss).ToString("g2", CultureInfo.InvariantCulture),
            ]));
            to.Line($"{steps} steps from step {from}: {words}.");
        });
        return same ? ExitCode.Done : ExitCode.Failed;
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.EnumerateFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }

    /// <summary>A line of steps.jsonl, as far as it is compared.</summary>
    private sealed record Step(int WorldSize, double Loss, double GradNorm, string SampleIds)
    {
        public static IReadOnlyDictionary<long, Step> Read(string folder)
        {
            var steps = new Dictionary<long, Step>();
            // The last may be half written.
            foreach (var line in File.ReadLines(Path.Combine(folder, "steps.jsonl")).Where(line => line.EndsWith('}')))
            {
                using var json = JsonDocument.Parse(line);
                var step = json.RootElement;
                steps[step.GetProperty("step").GetInt64()] = new(
                    step.GetProperty("world_size").GetInt32(), step.GetProperty("loss").GetDouble(),
                    step.GetProperty("grad_norm").GetDouble(), step.GetProperty("sample_ids").ToString());
            }
            return steps;
        }
    }
}
