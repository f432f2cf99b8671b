using Phi3VCluster.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

public sealed class DropoutTests
{
    private const double Probability = 0.3;

    [Fact]
    public void A_sample_s_mask_depends_on_its_seed_and_place_alone()
    {
        using var scope = NewDisposeScope();
        var x = ones(9, 6);

        var packed = Apply(x, new([2, 4, 3], [11, 12, 13]));
        var moved = Apply(x, new([3, 2, 4], [13, 11, 12]));

        Assert.Equal(Numbers(packed[..2]), Numbers(moved[3..5]));
        Assert.Equal(Numbers(packed[2..6]), Numbers(moved[5..]));
        Assert.Equal(Numbers(packed[6..]), Numbers(moved[..3]));
        Assert.Equal(Numbers(packed[2..6]), Numbers(Apply(x[..4], new([4], [12]))));
        Assert.NotEqual(Numbers(packed[..2]), Numbers(Apply(x[..2], new([2], [12]))));
        Assert.NotEqual(Numbers(packed), Numbers(Dropout.Apply(x, Probability, new([2, 4, 3], [11, 12, 13]), salt: 8)));
    }

    [Fact]
    public void What_stays_is_scaled_so_that_the_mean_is_kept()
    {
        using var scope = NewDisposeScope();
        const int count = 400 * 100;

        var dropped = Numbers(Apply(ones(400, 100), new([150, 0, 250], [1, 2, 3])));

        var kept = dropped.Count(value => value != 0);
        Assert.All(dropped, value => Assert.True(value == 0 || Math.Abs(value - 1 / (1 - Probability)) < 1e-6, $"{value}"));
        Assert.Equal(1 - Probability, (double)kept / count, 5 * Math.Sqrt(Probability * (1 - Probability) / count));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_packing_changes_neither_losses_nor_gradients(bool dora)
    {
        using var scope = NewDisposeScope();
        var inputs = Inputs();

        var (together, packed) = Run(ActivationCheckpointing.None, dora, inputs);
        var (alone, single) = Run(ActivationCheckpointing.None, dora, [.. inputs.Reverse().Select(input => (ModelInput[])[input])]);

        var differences = new Differences();
        foreach (var (expected, actual) in alone.Reverse().Zip(together)) differences.Add("loss", Math.Abs(expected - actual), 1e-5);
        var floor = 0.01 * single.Values.Max(gradient => gradient.norm().item<float>());
        foreach (var name in single.Keys) differences.RelativeNorm(name, packed[name], single[name], 1e-5, floor);
        differences.Report("dropout");
    }

    [Theory]
    [InlineData(ActivationCheckpointing.Selective)]
    [InlineData(ActivationCheckpointing.Full)]
    public void Layers_computed_again_drop_the_same_again(ActivationCheckpointing checkpointing)
    {
        using var scope = NewDisposeScope();

        var (expected, kept) = Run(ActivationCheckpointing.None, dora: true, Inputs());
        var (losses, again) = Run(checkpointing, dora: true, Inputs());

        Assert.Equal(expected, losses);
        foreach (var name in kept.Keys) Assert.Equal(Numbers(kept[name]), Numbers(again[name]));
    }

    [Fact]
    public void Nothing_is_dropped_without_a_seed_nor_where_nothing_is_trained()
    {
        using var scope = NewDisposeScope();
        var (dropping, plain) = (TinyModel.Weights(), TinyModel.Weights());
        TinyAdapters.Attach(dropping, TinyAdapters.Everywhere, Probability);
        TinyAdapters.Attach(plain, TinyAdapters.Everywhere);
        using var model = new Phi3VModel(TinyModel.Config, dropping);
        using var expected = new Phi3VModel(TinyModel.Config, plain);
        foreach (var seeded in Inputs())
        {
            var input = seeded with { DropoutSeed = null };
            var loss = expected.Loss(input);
            Assert.Equal(loss, model.Loss(seeded));
            Assert.Equal(expected.ForwardBackward(input, 1), model.ForwardBackward(input, 1));
            Assert.NotEqual(loss, model.ForwardBackward(seeded, 1), 1e-5);
            var options = new TextGenerationOptions { MaxNewTokens = 3, IgnoreEos = true };
            Assert.Equal(Assert.Single(expected.Generate([input], options)).LogProbabilities,
                Assert.Single(model.Generate([seeded], options)).LogProbabilities);
        }
    }

    private static ModelInput[] Inputs() =>
    [
        TinyModel.Text(9) with { DropoutSeed = 5 },
        TinyModel.TwoImages() with { DropoutSeed = 6 },
        TinyModel.Text(20) with { DropoutSeed = 7 },
    ];

    private static (double[] Losses, Dictionary<string, Tensor> Gradients) Run(
        ActivationCheckpointing checkpointing, bool dora, params ModelInput[][] passes)
    {
        var weights = TinyModel.Weights();
        var trained = TinyAdapters.Attach(weights, TinyAdapters.Everywhere, Probability, dora);
        using var model = new Phi3VModel(TinyModel.Config, weights, new() { Checkpointing = checkpointing });
        var losses = passes.SelectMany(pass => model.ForwardBackward(pass, [.. pass.Select(_ => 1.0)]).Means).ToArray();
        return (losses, trained.ToDictionary(pair => pair.Key, pair => pair.Value.grad!));
    }

    private static Tensor Apply(Tensor x, DropoutRows rows) => Dropout.Apply(x, Probability, rows, salt: 7);

    private static float[] Numbers(Tensor x) => x.contiguous().data<float>().ToArray();
}
