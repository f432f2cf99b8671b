using System.Text.Json.Nodes;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

[Trait("Category", "Parity")]
public sealed class ModelParityTests
{
    public static IEnumerable<TheoryDataRow<string?>> Cases => ReferenceFolder.Files("model/cases", "*.json");

    [Theory, MemberData(nameof(Cases))]
    public void Activations_logits_and_loss_are_the_originals(string? name)
    {
        using var scope = NewDisposeScope();
        using var test = Open(name);
        var differences = new Differences(test.Expected);
        using var model = new Phi3VModel(test.Config, test.Weights);
        var logitRows = CaseInputs.Numbers(test.Expected, "logit_rows");
        var rows = tensor(CaseInputs.Numbers(test.Expected, "rows"));

        var got = model.Inspect(test.Input, logitRows);

        if (test.Expected.Contains("vision_features")) differences.Absolute("vision_features", Features(got, test), 1e-4);
        if (test.Expected.Contains("projector_output")) differences.Absolute("projector_output", Tokens(got, test), 1e-4);
        differences.Absolute("embeddings", got.Embeddings.index_select(0, rows), 1e-4);
        for (var i = 0; i < got.Layers.Count; i++) differences.Absolute($"layer_{i}", got.Layers[i].index_select(0, rows), 1e-4);
        differences.Absolute("final_norm", got.FinalNorm.index_select(0, rows), 1e-4);
        differences.Absolute("logits", got.Logits, 2e-4);
        differences.Add("loss", Math.Abs(model.Loss(test.Input) - (double)test.Json["loss"]!), 2e-4);
        differences.Report(name!);
    }

    [Theory, MemberData(nameof(Cases))]
    public void Gradients_are_the_originals(string? name)
    {
        using var scope = NewDisposeScope();
        using var test = Open(name);
        var gradients = test.Expected.Names.Where(n => n.StartsWith("grad.", StringComparison.Ordinal)).ToList();
        if (gradients.Count == 0) Assert.Skip($"{name} holds no gradients.");
        foreach (var info in Phi3VWeights.List(test.Config)) test.Weights[info.Name].requires_grad_();
        using var model = new Phi3VModel(test.Config, test.Weights);
        var differences = new Differences(test.Expected);

        var loss = model.ForwardBackward(test.Input, 1);

        differences.Add("loss", Math.Abs(loss.Mean - (double)test.Json["loss"]!), 2e-4);
        foreach (var gradient in gradients)
        {
            var weight = gradient["grad.".Length..];
            var actual = test.Weights[weight].grad!;
            if (test.Expected.Contains("grad_rows." + weight))
                actual = actual.index_select(0, tensor(CaseInputs.Numbers(test.Expected, "grad_rows." + weight)));
            differences.RelativeNorm(gradient, actual, 1e-3);
        }
        differences.Report(name!);
    }

    [Theory, MemberData(nameof(Cases))]
    public void Greedy_generation_is_the_originals(string? name)
    {
        using var scope = NewDisposeScope();
        using var test = Open(name);
        var generation = test.Json["generation"];
        if (generation is null) Assert.Skip($"{name} generates nothing.");
        using var model = new Phi3VModel(test.Config, test.Weights);
        var prompt = test.Input with { Ids = test.Input.Ids[..(int)generation!["prompt_tokens"]!], Labels = null };
        var tokens = generation["tokens"]!.AsArray().Select(t => (long)t!).ToList();
        var options = new GenerationOptions { MaxNewTokens = tokens.Count, IgnoreEos = (bool)generation["ignore_end_of_text"]! };

        var text = Assert.Single(model.Generate([prompt], options));

        Assert.Equal(tokens, text.Tokens);
        var differences = new Differences(test.Expected);
        foreach (var (got, expected) in text.LogProbabilities.Zip(generation["log_probabilities"]!.AsArray()))
            differences.Add("log-probability", Math.Abs(got - (double)expected!), 5e-4);
        differences.Report(name!);
    }

    /// <summary>As the reference keeps them: the only crop of a 1×1 image twice, and of many crops every 8th patch.</summary>
    private static Tensor Features(Activations got, Case test)
    {
        var (crops, first) = (new List<Tensor>(), 0L);
        foreach (var (own, _, _) in test.Input.Images)
        {
            var features = got.VisionFeatures!.narrow(0, first, own.shape[0]);
            first += own.shape[0];
            crops.AddRange(own.shape[0] == 1 ? [features, features] : [features]);
        }
        var all = cat([.. crops], 0);
        return test.Expected.Info("vision_features").Shape[1] == all.shape[1] ? all : all.index_select(1, arange(0, all.shape[1], 8));
    }

    private static Tensor Tokens(Activations got, Case test)
    {
        var expected = test.Expected.Info("projector_output").Shape[0];
        var all = got.ImageTokens!;
        return expected == all.shape[0] ? all : all.index_select(0, arange(0, all.shape[0], 4));
    }

    private static Case Open(string? name)
    {
        ReferenceFolder.SkipIfAbsent(name);
        var json = JsonNode.Parse(File.ReadAllText(ReferenceFolder.PathOf("model", "cases", name + ".json")))!;
        var expected = SafeTensorsFile.Open(ReferenceFolder.PathOf("model", "cases", name + ".safetensors"));
        var folder = ReferenceFolder.PathOf("model", (string)json["model"]!);
        var configJson = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!;
        foreach (var (key, value) in json["config_overrides"]!.AsObject()) configJson[key] = value?.DeepClone();
        var config = Phi3VConfig.Parse(configJson.ToJsonString(), name!);
        var input = CaseInputs.Read(json, expected);
        if (input is null) Assert.Skip($"{name}: the reference holds no resized image for it.");
        return new(json, expected, config, Load(folder, config), input);
    }

    private static ModelWeights Load(string folder, Phi3VConfig config)
    {
        using var checkpoint = CheckpointFolder.Open(folder);
        var list = Phi3VWeights.List(config);
        checkpoint.Check(list, weight => Phi3VWeights.IsUnused(weight, config));
        var weights = new ModelWeights();
        foreach (var info in list.Where(info => checkpoint.Contains(info.Name)))
        {
            var weight = empty(info.Shape, ScalarType.Float32);
            checkpoint.CopyTo(info.Name, weight);
            weights[info.Name] = weight;
        }
        return weights;
    }

    private sealed record Case(JsonNode Json, SafeTensorsFile Expected, Phi3VConfig Config, ModelWeights Weights, ModelInput Input)
        : IDisposable
    {
        public void Dispose() => Expected.Dispose();
    }
}
