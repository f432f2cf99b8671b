using System.Collections.Concurrent;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Tests.Model;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>How a run is spread and computed changes nothing of what it learns.</summary>
public sealed class EquivalenceTests(SmallRuns runs) : IClassFixture<SmallRuns>
{
    private const int RandomCases = 12;

    private static readonly Dictionary<string, MethodSpec> Methods = new()
    {
        ["full"] = new() { Kind = "full" },
        ["frozen-vision"] = new() { Kind = "frozen-vision" },
        ["head"] = new() { Kind = "head" },
        ["lora"] = new() { Kind = "lora", Rank = 4 },
        ["dora with dropout"] = new() { Kind = "lora", Rank = 4, Dora = true, Dropout = 0.2 },
        ["qlora"] = new() { Kind = "qlora", Rank = 4, DoubleQuantization = true },
        ["lora beside frozen vision"] = new() { Kind = "lora", Rank = 4, FreezeVision = true, Dropout = 0.2 },
    };

    private static readonly ConcurrentDictionary<(string Method, string Loss), string> Plainest = new();

    /// <summary>Each method once and some again; each choice of a setting as often as the others, in an order drawn by chance.</summary>
    public static IEnumerable<TheoryDataRow<string, string, int, int?, string, string, string>> Cases()
    {
        var random = SplitMix64.For("equivalence", 1, 0);
        string[] methods = [.. Methods.Keys, .. Deck([.. Methods.Keys])[..RandomCases]];
        var (losses, sizes, micros) = (Deck("sample", "token"), Deck(1, 2, 3, 4), Deck<int?>(1, 2, 3, null));
        var (reductions, attention) = (Deck("step", "micro"), Deck("auto", "eager"));
        var checkpointing = Deck("none", "selective", "full", "auto");
        return methods.Select((method, i) => new TheoryDataRow<string, string, int, int?, string, string, string>(
            method, losses[i], sizes[i], micros[i], reductions[i], checkpointing[i], attention[i]));

        T[] Deck<T>(params T[] choices)
        {
            var deck = Enumerable.Range(0, Methods.Count + RandomCases).Select(i => choices[i % choices.Length]).ToArray();
            random.Shuffle<T>(deck);
            return deck;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void A_run_learns_what_the_plainest_run_learns(
        string method, string loss, int worldSize, int? micro, string reduceEvery, string checkpointing, string attention)
    {
        // A small epsilon would make steps of full size of gradients that are zero but for rounding, such as those of the keys' biases.
        var plain = runs.Spec with { Method = Methods[method], Optimizer = runs.Spec.Optimizer with { Loss = loss, Epsilon = 1e-5 } };
        var spec = plain with
        {
            Batch = new() { Global = 3, Micro = micro, ReduceEvery = reduceEvery },
            ActivationCheckpointing = checkpointing,
            Attention = attention,
        };
        var expected = Plainest.GetOrAdd((method, loss), _ => runs.Finish(plain));

        var actual = runs.Finish(spec, worldSize);

        var differences = new Differences();
        foreach (var key in (string[])["loss", "grad_norm"])
        {
            var (want, got) = (SmallRuns.Numbers(expected, key), SmallRuns.Numbers(actual, key));
            Assert.Equal(3, got.Count);
            for (var i = 0; i < 3; i++) differences.Add($"{key} of step {i + 1}", Math.Abs(got[i] - want[i]) / want[i], 1e-5);
        }
        differences.Add("weights", Distance(expected, actual), 1e-5);
        differences.Report(
            $"{method}, {loss}, {worldSize} ranks, {micro?.ToString() ?? "auto"}, {reduceEvery}, {checkpointing}, {attention}");
    }

    [Fact]
    public void What_recomputing_came_to_is_in_run_yaml()
    {
        var output = runs.Finish(runs.Lora with { ActivationCheckpointing = "auto", MaxSteps = 1 });

        Assert.Contains("activationCheckpointing: \"none\"\n", File.ReadAllText(Path.Combine(output, "run.yaml"))); // so small a model
    }

    [Theory]
    [InlineData("full", "step", "bf16", 2)]
    [InlineData("full", "micro", "bf16", 3)]
    [InlineData("lora", "step", "bf16", 3)]
    [InlineData("lora", "step", "fp16", 2)]
    public void Gradients_that_travel_in_16_bits_teach_nearly_the_same(
        string method, string reduceEvery, string gradientType, int worldSize)
    {
        var plain = runs.Spec with { Method = Methods[method], Optimizer = runs.Spec.Optimizer with { Epsilon = 1e-5 } };
        var expected = Plainest.GetOrAdd((method, plain.Optimizer.Loss), _ => runs.Finish(plain));

        var actual = runs.Finish(plain with
        {
            Batch = new() { Global = 3, Micro = 1, ReduceEvery = reduceEvery, GradientType = gradientType },
        }, worldSize);

        var (want, got) = (SmallRuns.Numbers(expected, "grad_norm"), SmallRuns.Numbers(actual, "grad_norm"));
        var differences = want.Zip(got, (one, other) => Math.Abs(other - one) / one).ToList();
        var (most, distance) = (differences.Max(), Distance(expected, actual));
        TestContext.Current.TestOutputHelper!.WriteLine($"gradient norms within {most:e1}, weights within {distance:e1}");
        Assert.InRange(most, 1e-6, gradientType == "bf16" ? 1.0 / 256 : 1.0 / 2048); // rounded at all, and no more
        Assert.InRange(distance, 0, 1e-3);
    }

    /// <summary>Of the trained tensors as one vector, relative to its length.</summary>
    private static double Distance(string expected, string actual)
    {
        using var scope = NewDisposeScope();
        var file = Directory.Exists(Path.Combine(expected, "model")) ? "model/model.safetensors" : "adapter/adapter_model.safetensors";
        using var want = SafeTensorsFile.Open(Path.Combine(expected, file));
        using var got = SafeTensorsFile.Open(Path.Combine(actual, file));
        Assert.Equal(want.Names, got.Names);
        double Squares(Func<string, Tensor> of) =>
            want.Names.Sum(name => of(name).to_type(ScalarType.Float64).square().sum().item<double>());
        return Math.Sqrt(Squares(name => got.View(name) - want.View(name)) / Squares(want.View));
    }
}
