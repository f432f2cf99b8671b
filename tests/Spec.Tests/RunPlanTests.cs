using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Spec.Tests;

/// <summary>Plans beside what was measured, and what they say where a run does not fit.</summary>
public sealed class RunPlanTests
{
    /// <summary>The page that steps were timed on.</summary>
    private static readonly LetterPage Timed = new(2560, 17);

    private static readonly RunSpec Full = new() { Name = "r", Precision = "bf16", Cluster = new() { MaxRanks = 8 } };

    [Theory]
    [InlineData("h100", "lora", 2, "none", 32.2)]
    [InlineData("h100", "qlora", 2, "none", 27.2)]
    [InlineData("h100", "frozen-vision", 1, "none", 73.8)]
    [InlineData("h100", "full", 1, "selective", 80.7)]
    [InlineData("h200", "lora", 2, "none", 31.7)]
    [InlineData("h200", "frozen-vision", 2, "none", 79.5)]
    [InlineData("h200", "full", 2, "none", 95.6)]
    public void Memory_is_what_the_cards_allocated_at_their_peak(string gpu, string method, int micro, string policy, double measured)
    {
        var card = GpuCard.Find(gpu, "--gpu");
        var memory = MemoryEstimate.Of(TimedRun(method, micro, policy), 1, isAmpere: card.IsAmpere, page: Timed);

        Assert.InRange(memory.Total / 1e9, measured, 1.1 * measured); // what was measured leaves CUDA's own out
        Assert.InRange((memory.Certain + memory.Activations + memory.Workspace) / 1e9, 0.98 * measured, 1.02 * measured);
        Assert.Equal(memory.Total, memory.Items.Sum(item => item.Bytes), 1.0);
        Assert.True(memory.Total <= card.UsableBytes, "what ran is refused");
    }

    [Theory]
    [InlineData("h100", "lora", 2, "none", 6.95)]
    [InlineData("h100", "qlora", 2, "none", 6.81)]
    [InlineData("h100", "frozen-vision", 1, "none", 7.33)]
    [InlineData("h100", "full", 1, "selective", 5.33)]
    [InlineData("h200", "lora", 2, "none", 6.85)]
    [InlineData("h200", "frozen-vision", 2, "none", 7.61)]
    [InlineData("h200", "full", 2, "none", 5.98)]
    public void Speed_is_what_the_cards_reached(string gpu, string method, int micro, string policy, double measured)
    {
        var plan = RunPlan.Of(TimedRun(method, micro, policy), ModelSizes.Released, PlanTarget.Of(GpuCard.Find(gpu, "--gpu")), 1, 1, Timed);

        Assert.InRange(plan.ImagesPerSecond, 0.9 * measured, 1.1 * measured);
        Assert.Equal((0, true), (plan.ExposedRatio, plan.Fits));
    }

    [Theory]
    [InlineData("lora", 3, false, 42.9, 7.53)]
    [InlineData("lora", 3, true, 49.9, 8.86)]
    [InlineData("frozen-vision", 3, false, 85.2, 7.96)]
    [InlineData("frozen-vision", 3, true, 92.3, 9.26)]
    [InlineData("full", 2, false, 95.6, 6.26)]
    [InlineData("full", 2, true, 102.6, 7.03)]
    public void Long_passes_and_8_bits_are_what_an_H200_reached(string method, int micro, bool fp8, double gigabytes, double speed)
    {
        var (spec, card) = (TimedRun(method, micro, "none") with { Fp8 = fp8 }, GpuCard.Find("h200", "--gpu"));
        var memory = MemoryEstimate.Of(spec, 1, isAmpere: true, page: Timed);
        var plan = RunPlan.Of(spec, ModelSizes.Released, PlanTarget.Of(card), 1, 1, Timed);

        Assert.InRange((memory.Certain + memory.Activations + memory.Workspace) / 1e9, 0.98 * gigabytes, 1.02 * gigabytes);
        Assert.InRange(plan.ImagesPerSecond, 0.9 * speed, 1.1 * speed);
    }

    [Fact]
    public void Cards_that_were_never_timed_with_8_bits_are_refused_them()
    {
        var spec = TimedRun("lora", 1, "none") with { Fp8 = true };

        var plan = RunPlan.Of(spec, ModelSizes.Released, PlanTarget.Of(GpuCard.Find("a100-80gb", "--gpu")), 1, 1, Timed);

        Assert.Equal(["fp8: a100-80gb has no 8-bit products with a scale for each row, got true; write false, or take H100 or H200."],
            plan.Problems);
    }

    [Fact]
    public void Operations_of_a_page_are_those_that_the_bench_counts()
    {
        double Tera(string method) => StepCost.Of(TimedRun(method, 1, "none"), ModelSizes.Released, Timed, isAmpere: true) is var cost
            ? (cost.Products + cost.ThinProducts) / 1e12 : 0;

        // bench/Gpu: 80.0, 67.4 and 58.4 with attention (5.5 and, with a frozen tower, 4.4) and the head at every position (1.5; 1.1).
        Assert.Equal(80.0 - 5.5 - 1.5, Tera("full"), 0.2);
        Assert.Equal(67.4 - 4.4 - 1.5, Tera("frozen-vision"), 0.2);
        Assert.Equal(58.4 - 5.5 - 1.1, Tera("lora"), 0.5);
    }

    [Fact]
    public void A_page_follows_the_crops_as_the_image_processor_cuts_it()
    {
        Assert.Equal(new(2443, 17), LetterPage.Of(null));
        Assert.Equal(LetterPage.Of(null), LetterPage.Of(16));
        Assert.Equal(5, LetterPage.Of(4).Crops);
        Assert.Equal((2, 3), (LetterPage.Of(1).Crops, LetterPage.Of(1).PagesAPass(new())));
        Assert.Equal((1, 4), (LetterPage.Of(16).PagesAPass(new()), LetterPage.Of(16).PagesAPass(new() { Micro = 4 })));
    }

    [Fact]
    public void More_nodes_are_faster_by_less_than_their_number_and_communication_shows()
    {
        var (one, two) = (Plan(Full, "v100", 1, 8, precision: "fp16"), Plan(Full, "v100", 2, 8, precision: "fp16"));

        Assert.InRange(two.ImagesPerSecond / one.ImagesPerSecond, 1.0, 2.0);
        Assert.InRange(one.ExposedRatio, 0.001, two.ExposedRatio - 0.001);
    }

    [Fact]
    public void Adapters_are_kept_whole_by_every_rank_and_large_states_in_parts()
    {
        double State(string method, int ranks) => MemoryEstimate.Of(Full with { Method = new() { Kind = method } }, ranks).Optimizer;

        Assert.Equal(State("lora", 1), State("lora", 8));
        Assert.Equal(State("full", 1), 8 * State("full", 8), 1.0);
    }

    [Theory]
    [InlineData("full", "none", "h100", 1, "activationCheckpointing: selective")]
    [InlineData("full", "none", "h100", 1, "--nodes 2")]
    [InlineData("full", "none", "h100", 1, "--gpu h200-141gb")]
    [InlineData("full", "full", "a100-40gb", 1, "method.kind: lora")]
    [InlineData("lora", "none", "rtx-4090", 4, "batch.micro: 1")]
    [InlineData("lora", "selective", "v100", 1, "precision: fp16")]
    public void What_cannot_fit_is_refused_and_the_least_that_would_is_named(
        string method, string policy, string gpu, int micro, string fits)
    {
        var given = Full with { Method = new() { Kind = method }, ActivationCheckpointing = policy, Batch = new() { Micro = micro } };
        var plan = Plan(given, gpu, 1, 1);

        Assert.False(plan.Fits);
        Assert.Single(plan.Problems);
        Assert.Contains(Advice(plan, given), line => line.StartsWith($"fits: {fits} (", StringComparison.Ordinal));
    }

    [Fact]
    public void Every_card_s_advice_is_true()
    {
        var given = Full with { ActivationCheckpointing = "none", Batch = new() { Micro = 2 } };
        Assert.All(GpuCard.All.Where(card => card.IsAmpere), card =>
        {
            var plan = RunPlan.Of(given, ModelSizes.Released, PlanTarget.Of(card), 1, 1);
            foreach (var line in Advice(plan, given).Where(line => line.Contains("with", StringComparison.Ordinal) && !line.Contains("--")))
                Assert.True(RunPlan.Of(Changed(given, line), ModelSizes.Released, PlanTarget.Of(card), 1, 1).Fits, line);
        });
    }

    [Fact]
    public void What_fits_with_room_is_told_the_faster_way()
    {
        var given = Full with { Method = new() { Kind = "lora" }, ActivationCheckpointing = "full" };
        var line = Assert.Single(Advice(Plan(given, "h100", 1, 1), given));

        Assert.StartsWith("faster and fits: activationCheckpointing: none", line);
        Assert.Empty(Advice(Plan(Changed(given, line), "h100", 1, 1), Changed(given, line)));
    }

    [Fact]
    public void Ranks_beyond_the_spec_s_are_planned_and_told()
    {
        var given = Full with { Cluster = new() { MinRanks = 4, MaxRanks = 8 } };

        Assert.StartsWith("cluster.maxRanks: the spec takes at most 8", Advice(Plan(given, "h100", 2, 8), given)[0]);
        Assert.StartsWith("cluster.minRanks: the spec waits for 4", Advice(Plan(given, "h200", 1, 2), given)[0]);
        Assert.StartsWith("batch.global:", Assert.Single(Plan(given, "h100", 16, 8).Problems));
        Assert.StartsWith("cluster.device:", Plan(given with { Cluster = new() { Device = "cpu" } }, "h100", 1, 8).Problems[0]);
    }

    [Fact]
    public void Hours_follow_from_samples_or_from_the_most_steps()
    {
        var plan = Plan(Full with { Epochs = 2 }, "h100", 1, 8);

        Assert.Null(plan.Hours(null));
        Assert.Equal(2 * 16 * plan.StepSeconds / 3600, plan.Hours(1000)!.Value, 1e-9);
        Assert.Equal(5 * plan.StepSeconds / 3600, Plan(Full with { MaxSteps = 5 }, "h100", 1, 8).Hours(null)!.Value, 1e-9);
    }

    [Theory]
    [InlineData("h100", "h100-80gb")]
    [InlineData("A100 80GB", "a100-80gb")]
    [InlineData("RTX 4090", "rtx-4090")]
    [InlineData("v100", "v100-32gb")]
    public void A_card_is_found_by_what_people_call_it(string given, string id) => Assert.Equal(id, GpuCard.Find(given, "--gpu").Id);

    [Theory]
    [InlineData("a100", "--gpu: several are meant, got a100; choose one of a100-40gb, a100-80gb.")]
    [InlineData("rtx-4080", "--gpu: no such GPU is known, got rtx-4080; did you mean rtx-4090? Known are t4-16gb, ")]
    [InlineData("", "--gpu: no such GPU is known, got ; choose one of t4-16gb, ")]
    public void Other_names_are_refused_with_those_there_are(string given, string message) =>
        Assert.StartsWith(message, Assert.Throws<InputException>(() => GpuCard.Find(given, "--gpu")).Message);

    [Theory]
    [InlineData("cuda NVIDIA H100 80GB HBM3", 79.1, "h100-80gb")]
    [InlineData("cuda NVIDIA H200", 139.8, "h200-141gb")]
    [InlineData("NVIDIA A100-SXM4-40GB", 39.4, "a100-40gb")]
    [InlineData("NVIDIA A100-SXM4-80GB", 79.1, "a100-80gb")]
    [InlineData("Tesla V100-SXM2-32GB", 31.7, "v100-32gb")]
    [InlineData("NVIDIA GeForce RTX 4090", 23.5, "rtx-4090")]
    [InlineData("Quadro RTX 8000", 47.4, "rtx-8000")]
    [InlineData("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 9.6, null)]
    [InlineData("NVIDIA H100 PCIe", 79.1, null)]
    [InlineData("NVIDIA GH200 480GB", 94.5, null)]
    [InlineData("NVIDIA GeForce RTX 4090 Laptop GPU", 15.7, null)]
    [InlineData("NVIDIA L4", 22.0, null)]
    public void A_device_is_a_card_only_where_its_rates_are_the_card_s(string device, double gibibytes, string? id) =>
        Assert.Equal(id, GpuCard.OfDevice(device, gibibytes * (1L << 30))?.Id);

    [Fact]
    public void A_step_is_what_its_parts_are()
    {
        var plan = Plan(Full, "h100", 2, 8);

        Assert.Equal(plan.Step.Compute + plan.Step.Update + plan.Step.Exchange, plan.StepSeconds);
        Assert.Equal(plan.Step.Exchange, plan.ExposedRatio * plan.StepSeconds, 1e-12);
        Assert.All((double[])[plan.Step.Compute, plan.Step.Update, plan.Step.Exchange], part => Assert.True(part > 0));
    }

    private static RunSpec TimedRun(string method, int micro, string policy) => new()
    {
        Precision = "bf16",
        Method = new() { Kind = method, Rank = 64 },
        ActivationCheckpointing = policy,
        Batch = new() { Global = 8, Micro = micro },
        Cluster = new() { State = "sharded" },
    };

    private static RunPlan Plan(RunSpec spec, string gpu, int nodes, int perNode, string? precision = null) => RunPlan.Of(
        spec with { Precision = precision ?? spec.Precision }, ModelSizes.Released,
        PlanTarget.Of(GpuCard.Find(gpu, "--gpu")), nodes, perNode);

    private static IReadOnlyList<string> Advice(RunPlan plan, RunSpec given) => PlanAdvice.Of(plan, given, ModelSizes.Released);

    /// <summary>The spec with what a line of advice says.</summary>
    private static RunSpec Changed(RunSpec spec, string line)
    {
        var (start, end) = (line.IndexOf("fits: ", StringComparison.Ordinal) + 6, line.IndexOf(" (", StringComparison.Ordinal));
        foreach (var word in line[start..end].Split(" with "))
        {
            var (key, value) = (word.Split(": ")[0], word.Split(": ")[1]);
            spec = key switch
            {
                "activationCheckpointing" => spec with { ActivationCheckpointing = value },
                "batch.micro" => spec with { Batch = spec.Batch with { Micro = int.Parse(value) } },
                "batch.reduceEvery" => spec with { Batch = spec.Batch with { ReduceEvery = value } },
                "method.kind" => spec with { Method = spec.Method with { Kind = value } },
                _ => throw new InvalidOperationException(key),
            };
        }
        return spec;
    }
}
