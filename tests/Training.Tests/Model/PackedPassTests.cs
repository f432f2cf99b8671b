using Phi3VCluster.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

public sealed class PackedPassTests
{
    private static readonly string[] Names = [.. Phi3VWeights.List(TinyModel.Config).Select(info => info.Name)];

    [Fact]
    public void Sequences_packed_end_to_end_are_sequences_one_by_one()
    {
        using var scope = NewDisposeScope();
        var inputs = Inputs();

        var (together, packed) = Run(new(), inputs);
        var (alone, single) = Run(new(), [.. inputs.Select(input => (ModelInput[])[input])]);

        AssertClose(alone, together, 1e-6);
        AssertClose(single, packed, 1e-5);
        Assert.Equal(0, together[2]); // the silent one
        Assert.All(together.Where((_, i) => i != 2), loss => Assert.True(loss > 0));
    }

    [Theory]
    [InlineData(ActivationCheckpointing.Selective)]
    [InlineData(ActivationCheckpointing.Full)]
    public void What_is_computed_again_is_the_same_to_the_bit(ActivationCheckpointing checkpointing)
    {
        using var scope = NewDisposeScope();

        var (expected, kept) = Run(new(), Inputs());
        var (losses, again) = Run(new() { Checkpointing = checkpointing }, Inputs());

        Assert.Equal(expected, losses);
        Assert.Equal(kept.Keys, again.Keys);
        foreach (var name in kept.Keys) Assert.True(kept[name].equal(again[name]).all().item<bool>(), name);
    }

    [Fact]
    public void Eager_attention_is_fused_attention()
    {
        using var scope = NewDisposeScope();

        var (expected, fused) = Run(new(), Inputs());
        var (losses, eager) = Run(new() { Attention = AttentionKernel.Eager }, Inputs());

        AssertClose(expected, losses, 1e-5);
        AssertClose(fused, eager, 1e-5);
    }

    [Fact]
    public void Image_tokens_that_are_given_are_those_that_would_be_computed()
    {
        using var scope = NewDisposeScope();
        using var model = new Phi3VModel(TinyModel.Config, TinyModel.Weights());
        var inputs = Inputs();
        ModelInput[] known = [.. inputs.Select(input => input.Images.Count == 0 ? input : input with
        {
            Images = [],
            ImageTokens = cat([.. input.Images.Select(image => model.ImageTokens(image))], 0),
        })];
        known[4] = inputs[4]; // one that is still to be computed, among those that are known

        var (expected, computed) = RunDecoder(inputs);
        var (losses, given) = RunDecoder(known);

        AssertClose(expected, losses, 1e-6);
        AssertClose(computed, given, 1e-5);
        Assert.Equal(model.Loss(inputs[1]), model.Loss(known[1]), 1e-6);
    }

    [Fact]
    public void Losses_are_weighted_one_by_one()
    {
        using var scope = NewDisposeScope();
        var weights = TinyModel.Weights(_ => true);
        using var model = new Phi3VModel(TinyModel.Config, weights);

        model.ForwardBackward([TinyModel.Text(9), TinyModel.Text(30)], [0, 2]);
        var second = weights["lm_head.weight"].grad!.clone();
        weights["lm_head.weight"].grad!.zero_();
        model.ForwardBackward([TinyModel.Text(30)], [2]);

        Assert.True((weights["lm_head.weight"].grad! - second).norm().item<float>() < 1e-5 * second.norm().item<float>());
    }

    /// <summary>On both sides of the original length, with images and without, and one from which nothing is learnt.</summary>
    private static ModelInput[] Inputs()
    {
        var text = TinyModel.Text(6);
        var image = TinyModel.Image(1, 1, 1);
        long[] ids = [2, .. Enumerable.Repeat(-1L, image.TokenCount), 4, 5];
        return
        [
            TinyModel.Text(9), TinyModel.TwoImages(), text with { Labels = [.. text.Ids.Select(_ => ModelInput.Ignored)] },
            TinyModel.Text(30), new(ids, [.. ids.Select(id => id == 5 ? id : ModelInput.Ignored)], [image]), TinyModel.Text(5),
        ];
    }

    private static (double[] Losses, Dictionary<string, Tensor> Gradients) RunDecoder(params ModelInput[][] passes) =>
        Run(new(), name => !name.StartsWith("model.vision_embed_tokens", StringComparison.Ordinal), passes);

    private static (double[] Losses, Dictionary<string, Tensor> Gradients) Run(ComputeOptions options, params ModelInput[][] passes) =>
        Run(options, _ => true, passes);

    private static (double[] Losses, Dictionary<string, Tensor> Gradients) Run(
        ComputeOptions options, Predicate<string> trained, ModelInput[][] passes)
    {
        var weights = TinyModel.Weights(trained);
        using var model = new Phi3VModel(TinyModel.Config, weights, options);
        var losses = passes
            .SelectMany(pass => model.ForwardBackward(pass, [.. pass.Select(input => 10.0 / input.Ids.Length)]).Means).ToArray();
        return (losses, Names.Where(name => weights[name].grad is not null).ToDictionary(name => name, name => weights[name].grad!));
    }

    private static void AssertClose(double[] expected, double[] actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], tolerance * Math.Max(1, expected[i]));
    }

    /// <summary>By norm, of the tensor or of a hundredth of the largest: some gradients are zero but for rounding.</summary>
    private static void AssertClose(Dictionary<string, Tensor> expected, Dictionary<string, Tensor> actual, double tolerance)
    {
        Assert.Equal(expected.Keys, actual.Keys);
        var differences = new Differences();
        var floor = 0.01 * expected.Values.Max(gradient => gradient.norm().item<float>());
        foreach (var name in expected.Keys) differences.RelativeNorm(name, actual[name], expected[name], tolerance, floor);
        differences.Report("gradients");
    }
}
