using System.Text;
using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Training.Tests.Engine.Report;

/// <summary>The plan beside what was measured, by arithmetic, and of a run that really was.</summary>
[Collection<AloneCollection>] // memory is the process's
public sealed class PlanComparisonTests(SmallRuns runs) : IClassFixture<SmallRuns>
{
    private const string Device = "cuda NVIDIA H100 80GB HBM3";

    private static readonly GpuCard Card = GpuCard.Find("h100", "--gpu");

    private static readonly RunSpec Spec = new()
    {
        Precision = "bf16",
        Method = new() { Kind = "lora" },
        Batch = new() { Global = 16 },
        Cluster = new() { MaxRanks = 8 },
    };

    private static readonly RunPlan Plan = RunPlan.Of(Spec, ModelSizes.Released, PlanTarget.Of(Card), 1, 2);

    [Fact]
    public void The_first_column_is_what_phi3v_plan_says()
    {
        var shown = Compare(AsPlanned());

        Assert.Equal("h100-80gb", shown.Target);
        Assert.Equal(Plan.ImagesPerSecond, Row(shown, "images/s").Planned);
        Assert.Equal(Plan.StepSeconds, Row(shown, "a step").Planned);
        Assert.Equal(Plan.ExposedRatio, Row(shown, "exposed communication").Planned);
        Assert.Equal(Plan.Memory.Total - Plan.Memory.Allowance, Row(shown, "peak of the rank").Planned);
        Assert.All(shown.Speed, row => Assert.Equal(0, row.Difference!.Value, 1e-9));
    }

    [Fact]
    public void A_step_s_parts_are_the_step()
    {
        var shown = Compare(AsPlanned());
        var parts = shown.Speed.Where(row => row.Unit == "s" && row.What != "a step").ToList();

        Assert.Equal(Row(shown, "a step").Planned!.Value, parts.Sum(part => part.Planned!.Value), 1e-9);
        Assert.Equal(Row(shown, "a step").Measured!.Value, parts.Sum(part => part.Measured!.Value), 1e-9);
        Assert.Equal(shown.Memory[0].Measured!.Value, shown.Memory.Skip(1).Sum(part => part.Measured!.Value), 1.0);
    }

    [Fact]
    public void The_part_that_most_of_a_difference_comes_from_is_named()
    {
        var run = AsPlanned();
        var phases = run.Phases!.ToDictionary();
        phases[Phase.Data] += 0.3;
        phases[Phase.Reduce] += 0.1;
        var slow = run with
        {
            Seconds = run.Seconds + 0.4,
            Phases = phases,
            Memory = run.Memory! with { Gradients = run.Memory.Gradients + 2e9, Peak = run.Memory.Peak + 2.5e9 },
        };

        var notes = Compare(slow).Notes;

        Assert.Contains("A step: 400.0 ms more than planned; the largest part of it is data, 300.0 ms.", notes);
        Assert.Contains("Peak of the rank: 2.5 GB more than planned; the largest part of it is gradients, 2.0 GB.", notes);
    }

    [Fact]
    public void Shorter_samples_than_the_plan_s_explain_their_part()
    {
        var shown = Compare(AsPlanned() with { Page = new(300, 2) });

        Assert.InRange(Row(shown, "images/s").ForItsSamples!.Value / Row(shown, "images/s").Planned!.Value, 2, 10);
        Assert.Contains("mean sample, 300 tokens and 2 crop(s).", Text(shown));
    }

    [Theory]
    [InlineData("cpu", "No speed is planned: a CPU's is known only where it is measured")]
    [InlineData("cuda NVIDIA L4", "No speed is planned: the catalogue of `phi3v plan` does not have NVIDIA L4.")]
    public void Where_no_rates_are_known_no_speed_is_planned(string device, string why)
    {
        var shown = PlanComparison.Of(Spec, ModelSizes.Released, device, card: null, isAmpere: false, answers: true, AsPlanned());

        Assert.All(shown.Speed, row => Assert.Equal((null, null, true), (row.Planned, row.ForItsSamples, row.Measured is not null)));
        Assert.All(shown.Memory, row => Assert.NotNull(row.Planned));
        Assert.Contains(shown.Notes, note => note.StartsWith(why, StringComparison.Ordinal));
        Assert.DoesNotContain("| images/s |", Text(shown));
        Assert.Contains("| weights |", Text(shown));
    }

    [Fact]
    public void Of_several_generations_the_longest_is_compared_and_said()
    {
        var shown = Compare(AsPlanned() with { Generation = 3, Generations = 4, Steps = 70, Phases = null });

        Assert.Contains(shown.Notes, note => note.StartsWith("Generation 3 is the longest, 70 steps of 2 ranks", StringComparison.Ordinal));
        Assert.Null(Row(shown, "data").Measured);
        Assert.NotNull(Row(shown, "a step").Measured);
    }

    [Fact]
    public void Steps_from_before_crops_were_counted_are_planned_as_letter_pages()
    {
        var shown = Compare(AsPlanned() with { Page = null });

        Assert.All(shown.Speed.Concat(shown.Memory), row => Assert.Null(row.ForItsSamples));
        Assert.Contains("17 crops.\n", Text(shown).ReplaceLineEndings("\n"));
    }

    [Theory]
    [InlineData("lora", 2)]
    [InlineData("full", 1)]
    public void A_run_s_report_has_what_was_planned_for_it_and_what_it_was_measured_at(string method, int ranks)
    {
        var output = runs.Finish(runs.Spec with { Method = new() { Kind = method, Rank = 4 } }, ranks);

        var report = JsonDocument.Parse(File.ReadAllText(Path.Combine(output, "report.json"))).RootElement;
        var compared = report.GetProperty("plan_and_measured");

        var (speed, memory) = (compared.GetProperty("speed"), compared.GetProperty("memory"));

        Assert.Equal(ranks, compared.GetProperty("ranks").GetInt32());
        foreach (var what in (string[])["weights", "gradients", "masters, moments"])
            Assert.InRange(Figure(memory, what, "measured")!.Value / Figure(memory, what, "for_its_samples")!.Value, 0.9, 1.1);
        Assert.Equal(report.GetProperty("images_per_second").GetDouble(), Figure(speed, "images/s", "measured")!.Value, 1e-6);
        var step = Figure(speed, "a step", "measured")!.Value;
        string[] parts = ["of it forward", "reduce", "optimizer", "data"];
        Assert.InRange(parts.Sum(part => Figure(speed, part, "measured")!.Value), 0.9 * step, step);
        Assert.Null(Figure(speed, "images/s", "planned"));
        Assert.Contains("## Planned and measured: ", File.ReadAllText(Path.Combine(output, "report.md")));
    }

    private static double? Figure(JsonElement rows, string what, string key)
    {
        var row = rows.EnumerateArray().Single(row => row.GetProperty("what").GetString()!.StartsWith(what, StringComparison.Ordinal));
        return row.GetProperty(key) is { ValueKind: JsonValueKind.Number } number ? number.GetDouble() : null;
    }

    private static PlanComparison Compare(RunMeasurement run) =>
        PlanComparison.Of(Spec, ModelSizes.Released, Device, Card, isAmpere: true, answers: true, run);

    private static PlanRow Row(PlanComparison shown, string what) => shown.Speed.Concat(shown.Memory).Single(row => row.What == what);

    private static string Text(PlanComparison shown)
    {
        var text = new StringBuilder();
        shown.AddTo(text);
        return text.ToString();
    }

    /// <summary>A run that came exactly as it was planned.</summary>
    private static RunMeasurement AsPlanned()
    {
        var (step, memory) = (Plan.Step, Plan.Memory);
        return new()
        {
            Generation = 1,
            Ranks = 2,
            Steps = 100,
            Seconds = step.Total,
            Samples = Spec.Batch.Global,
            Images = Spec.Batch.Global,
            Page = LetterPage.Of(null),
            Phases = new Dictionary<string, double>
            {
                [Phase.Forward] = step.Compute / 3,
                [Phase.Backward] = step.Compute * 2 / 3,
                [Phase.Reduce] = step.Exchange,
                [Phase.Optimizer] = step.Update,
                [Phase.Data] = 0,
            },
            Memory = new(1, 0, memory.Weights, memory.Gradients, memory.Optimizer, memory.Total - memory.Allowance),
        };
    }
}
