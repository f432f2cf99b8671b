using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Tests.Model;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>16-bit runs beside the float32 one. Short: a CPU multiplies 16-bit matrices many times slower.</summary>
public sealed class PrecisionTests(SmallRuns runs) : IClassFixture<SmallRuns>
{
    private const int Steps = 2;

    [Theory]
    [InlineData("bf16", "full")]
    [InlineData("fp16", "full")]
    [InlineData("bf16", "lora")]
    [InlineData("fp16", "lora")]
    public void A_16_bit_run_learns_what_the_float32_run_does_on_one_rank_and_on_two(string precision, string method)
    {
        var plain = runs.Spec with
        {
            Method = new() { Kind = method, Rank = 4 },
            Data = runs.Spec.Data with { Train = runs.Changed("few", _ => { }, 0, 2) },
            Batch = new() { Global = 2 },
            Epochs = precision == "fp16" ? 7 : Steps, // of one step, which starts anew where the loss scale was too large
        };
        var expected = runs.Finish(plain);
        var one = runs.Finish(plain with { Precision = precision });
        var two = runs.Finish(plain with { Precision = precision }, worldSize: 2);

        var differences = new Differences();
        Compare("loss", expected, one, 0.03);
        Compare("grad_norm", expected, one, 0.1);
        Compare("loss", one, two, 0.01);
        differences.Report($"{precision}, {method}");
        Assert.All((string[])[one, two], output =>
        {
            var skipped = LocalRun.Steps(output).TakeWhile(step => step.GetProperty("skipped").GetString() is not null).Count();
            var scales = LocalRun.Steps(output)
                .Select((_, i) => precision == "fp16" ? 65536 / Math.Pow(2, Math.Max(0, Math.Min(i, skipped - 1))) : 1);
            Assert.Equal(scales, SmallRuns.Numbers(output, "loss_scale"));
            AssertTypes(output, RankCompute.TypeOf(precision));
        });

        void Compare(string key, string want, string got, double tolerance)
        {
            var steps = Committed(want, key).Zip(Committed(got, key), (a, b) => (a, b)).Select((pair, i) => (i, pair.a, pair.b));
            foreach (var (i, expectedNumber, number) in steps)
                differences.Add($"{key} of step {i + 1}", Math.Abs(number - expectedNumber) / expectedNumber, tolerance);
        }
    }

    [Fact]
    public void The_plan_says_part_by_part_what_is_kept_in_which_type()
    {
        using var checkpoint = BaseCheckpoint.Open(runs.Spec.Model.Path);
        var spec = runs.Spec with { Precision = "bf16", Method = new() { Kind = "qlora", Rank = 4, DoubleQuantization = true } };

        var plan = PrecisionPlan.Of(checkpoint.Used, Catalog<ITrainingMethod>.Find("qlora", "").Plan(checkpoint.Used, spec.Method), spec);
        var rows = plan.Rows;
        Assert.Contains(plan.Lines(), line => line.StartsWith("decoder, layers 0–1: ", StringComparison.Ordinal));
        Assert.All(plan.Lines(), line => Assert.InRange(line.Length, 1, 120));

        Assert.Equal(
            ["vision tower bf16 frozen", "projector bf16 frozen", "token embedding bf16 frozen", "decoder nf4 with 8-bit scales frozen",
                "decoder bf16 frozen", "head bf16 frozen", "vision tower adapters bf16 trained, fp32 masters",
                "projector adapters bf16 trained, fp32 masters", "decoder adapters bf16 trained, fp32 masters",
                "head adapters bf16 trained, fp32 masters"],
            rows.Select(row => $"{row.Part} {row.Type} {row.State}"));
        Assert.Equal(checkpoint.Used.Sum(weight => weight.ElementCount),
            rows.Where(row => row.State == "frozen").Sum(row => row.Parameters));
    }

    private static IReadOnlyList<double> Committed(string output, string key)
    {
        var steps = LocalRun.Steps(output).Where(step => step.GetProperty("skipped").GetString() is null).ToList();
        Assert.True(steps.Count >= Steps, $"{steps.Count} steps were not skipped");
        return [.. steps.Take(Steps).Select(step => step.GetProperty(key).GetDouble())];
    }

    /// <summary>Adapters come from the masters; a model is stored as it was computed with, and what nobody trained as it was.</summary>
    private void AssertTypes(string output, ScalarType computed)
    {
        if (Directory.Exists(Path.Combine(output, "adapter")))
        {
            using var adapter = SafeTensorsFile.Open(Path.Combine(output, "adapter/adapter_model.safetensors"));
            Assert.All(adapter.Names, name => Assert.Equal(ScalarType.Float32, adapter.Type(name)));
            return;
        }
        using var model = SafeTensorsFile.Open(Path.Combine(output, "model/model.safetensors"));
        var config = Phi3VConfig.Read(runs.Spec.Model.Path);
        Assert.All(model.Names, name =>
            Assert.Equal(Phi3VWeights.IsUnused(name, config) ? ScalarType.Float32 : computed, model.Type(name)));
    }
}
