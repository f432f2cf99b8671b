using Phi3VCluster.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>From turns and image files to activations, gradients and answers: the product's whole path beside the original's.</summary>
[Trait("Category", "Parity")]
public sealed class ModelParityTests
{
    /// <summary>
    /// The part of a case's largest gradient norm below which a gradient is nothing but rounding. In exact arithmetic the tower's key
    /// biases have none at all, since softmax does not see them: a norm of 1e-9 of the largest stands there, and the smallest real one is
    /// 1e-4 of it.
    /// </summary>
    private const double GradientFloor = 5e-5;

    public static IEnumerable<TheoryDataRow<string?>> Cases => ReferenceFolder.Files("model/cases", "*.json");

    public static IEnumerable<TheoryDataRow<string?>> Models => ReferenceFolder.Folders("model", "config.json");

    [Theory, MemberData(nameof(Cases))]
    public void Ids_labels_and_image_sizes_are_the_originals(string? name)
    {
        using var scope = NewDisposeScope();
        using var test = ReferenceCase.Open(name);

        Assert.Equal(test.Json["prompts"]!.AsArray().Select(prompt => (string)prompt!), test.Prompts);
        Assert.Equal(test.Numbers("input_ids"), test.Input.Ids);
        Assert.Equal(test.Numbers("labels"), test.Input.Labels!);
        var sizes = test.Expected.Contains("image_sizes") ? test.Numbers("image_sizes") : [];
        Assert.Equal(sizes, test.Encoded.Images.SelectMany(image => (long[])[image.Height, image.Width]));
    }

    [Theory, MemberData(nameof(Cases))]
    public void Activations_logits_and_loss_are_the_originals(string? name)
    {
        using var scope = NewDisposeScope();
        using var test = ReferenceCase.Open(name);
        using var model = new Phi3VModel(test.Config, test.Weights);
        var rows = tensor(test.Numbers("rows"));
        var differences = new Differences();

        var got = model.Inspect(test.Input, test.Numbers("logit_rows"));

        if (test.Expected.Contains("vision_features")) differences.Absolute("vision_features", Features(got, test), test.Expected, 1e-4);
        if (test.Expected.Contains("projector_output")) differences.Absolute("projector_output", Tokens(got, test), test.Expected, 1e-4);
        differences.Absolute("embeddings", got.Embeddings.index_select(0, rows), test.Expected, 1e-4);
        for (var i = 0; i < got.Layers.Count; i++)
            differences.Absolute($"layer_{i}", got.Layers[i].index_select(0, rows), test.Expected, 1e-4);
        differences.Absolute("final_norm", got.FinalNorm.index_select(0, rows), test.Expected, 1e-4);
        differences.Absolute("logits", got.Logits, test.Expected, 2e-4);
        differences.Add("loss", Math.Abs(model.Loss(test.Input) - (double)test.Json["loss"]!), 2e-4);
        differences.Report(test.Name);
    }

    [Theory, MemberData(nameof(Cases))]
    public void Gradients_are_the_originals(string? name)
    {
        using var scope = NewDisposeScope();
        using var test = ReferenceCase.Open(name);
        var norms = test.Json["gradient_norms"]!.AsObject().ToDictionary(pair => pair.Key, pair => (double?)pair.Value?["norm"]);
        if (norms.Count == 0) Assert.Skip($"{name}: the original computed no gradients here.");
        foreach (var weight in norms.Keys.Where(test.WeightNames.Contains)) test.Weights[weight].requires_grad_();
        using var model = new Phi3VModel(test.Config, test.Weights);
        var floor = GradientFloor * norms.Values.Max()!.Value;
        var differences = new Differences();

        var loss = model.ForwardBackward(test.Input, 1);

        differences.Add("loss", Math.Abs(loss - (double)test.Json["loss"]!), 2e-4);
        foreach (var (weight, norm) in norms)
        {
            var got = test.WeightNames.Contains(weight) ? test.Weights[weight].grad : null;
            var gotNorm = got?.norm().item<float>() ?? 0;
            differences.Add($"norm of {weight}", Math.Abs(gotNorm - (norm ?? 0)) / Math.Max(norm ?? 0, floor), 1e-3);
            if (norm is null || got is null || !test.Expected.Contains("grad." + weight)) continue;
            var rows = "grad_rows." + weight;
            if (test.Expected.Contains(rows)) got = got.index_select(0, tensor(test.Numbers(rows)));
            differences.RelativeNorm("grad." + weight, got, test.Expected.View("grad." + weight), 1e-3, floor);
        }
        differences.Report(test.Name);
    }

    [Theory, MemberData(nameof(Cases))]
    public void Greedy_generation_is_the_originals(string? name)
    {
        using var scope = NewDisposeScope();
        using var test = ReferenceCase.Open(name);
        if (test.Generation is not { } generation)
        {
            Assert.Skip($"{name}: the original generated nothing here.");
            return;
        }
        using var model = new Phi3VModel(test.Config, test.Weights);
        var tokens = generation["tokens"]!.AsArray().Select(t => (long)t!).ToArray();
        var options = new TextGenerationOptions { MaxNewTokens = tokens.Length, IgnoreEos = (bool)generation["ignore_end_of_text"]! };
        var differences = new Differences();

        var got = Assert.Single(model.Generate([test.GenerationInput()], options));

        Assert.Equal(tokens, got.Tokens);
        Assert.Equal((string)generation["text"]!, test.Tokenizer.Decode([.. got.Tokens], skipSpecial: true));
        var expected = generation["log_probabilities"]!.AsArray().Select(p => (double)p!).ToList();
        Assert.Equal(expected.Count, got.LogProbabilities.Count);
        for (var i = 0; i < expected.Count; i++)
            differences.Add($"log-probability of token {i}", Math.Abs(got.LogProbabilities[i] - expected[i]), 5e-4);
        differences.Report(test.Name);
    }

    /// <summary>Whatever a model has before it, an answer is its own prompt's: the original's, and the same to the bit.</summary>
    [Theory, MemberData(nameof(Models))]
    public void Prompts_given_together_are_answered_as_if_given_alone(string? modelName)
    {
        ReferenceFolder.SkipIfAbsent(modelName);
        using var scope = NewDisposeScope();
        var tests = Cases.Select(row => ReferenceCase.Open(row.Data))
            .Where(test => (string)test.Json["model"]! == modelName && test.Json["config_overrides"]!.AsObject().Count == 0
                && test.Generation is not null).ToList();
        if (tests.Count == 0) Assert.Skip($"{modelName}: no case generates with the model as it is.");
        var prompts = tests.Select(test => test.GenerationInput()).ToList();
        var options = new TextGenerationOptions { MaxNewTokens = 4, IgnoreEos = true };
        using var model = new Phi3VModel(tests[0].Config, tests[0].Weights);

        var together = model.Generate(prompts, options);

        Assert.Equal(prompts.Count, together.Count);
        for (var i = 0; i < prompts.Count; i++)
        {
            var alone = Assert.Single(model.Generate([prompts[i]], options));
            var original = tests[i].Generation!["tokens"]!.AsArray().Select(t => (long)t!).Take(options.MaxNewTokens).ToList();
            Assert.Equal(original, together[i].Tokens.Take(original.Count));
            Assert.Equal(alone.Tokens, together[i].Tokens);
            Assert.All(alone.LogProbabilities.Zip(together[i].LogProbabilities), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
            tests[i].Dispose();
        }
    }

    /// <summary>As the reference keeps them: the only crop of a 1×1 image twice, and every 8th crop where there are more than 6.</summary>
    private static Tensor Features(Activations got, ReferenceCase test)
    {
        var (crops, first) = (new List<Tensor>(), 0L);
        foreach (var (own, _, _) in test.Input.Images)
        {
            var features = got.VisionFeatures!.narrow(0, first, own.shape[0]);
            first += own.shape[0];
            crops.AddRange(own.shape[0] == 1 ? [features, features] : [features]);
        }
        return Thinned(cat([.. crops], 0), test.Expected.Info("vision_features").Shape, 8);
    }

    /// <summary>As the reference keeps them: every 4th row where there are more than 6 crops.</summary>
    private static Tensor Tokens(Activations got, ReferenceCase test) =>
        Thinned(got.ImageTokens!, test.Expected.Info("projector_output").Shape, 4);

    /// <summary>Every so many entries of the one dimension that the reference holds fewer of.</summary>
    private static Tensor Thinned(Tensor all, long[] kept, long step)
    {
        for (var dimension = 0; dimension < kept.Length; dimension++)
            if (kept[dimension] != all.shape[dimension]) all = all.index_select(dimension, arange(0, all.shape[dimension], step));
        return all;
    }
}
