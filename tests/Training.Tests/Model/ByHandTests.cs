using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>Layers whose backward is written out give the gradients that autograd gives, whatever is trained of them.</summary>
public sealed class ByHandTests
{
    public static TheoryData<string, ActivationCheckpointing> Cases => new(
        from trained in (string[])["all", "decoder", "norms", "adapters", "adapters and weights"]
        from checkpointing in Enum.GetValues<ActivationCheckpointing>()
        select (trained, checkpointing));

    [Theory]
    [MemberData(nameof(Cases))]
    public void Gradients_are_autograd_s(string trained, ActivationCheckpointing checkpointing)
    {
        using var scope = NewDisposeScope();

        var (expected, automatic) = Run(trained, new() { Checkpointing = checkpointing });
        var (losses, byHand) = Run(trained, new() { Checkpointing = checkpointing, Kernels = new PlainKernels() });

        Assert.All(expected.Zip(losses), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        Assert.Equal(automatic.Keys, byHand.Keys);
        Assert.NotEmpty(automatic);
        var differences = new Differences();
        var floor = 0.01 * automatic.Values.Max(gradient => gradient.norm().item<float>());
        foreach (var name in automatic.Keys) differences.RelativeNorm(name, byHand[name], automatic[name], 2e-5, floor);
        differences.Report("gradients");
    }

    [Fact]
    public void Lengths_rounded_up_change_nothing()
    {
        using var scope = NewDisposeScope();

        var (expected, exact) = Run("all", new() { Kernels = new PlainKernels() });
        var (losses, rounded) = Run("all", new() { Kernels = new PlainKernels { LengthMultiple = 4 } });

        Assert.All(expected.Zip(losses), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        var differences = new Differences();
        var floor = 0.01 * exact.Values.Max(gradient => gradient.norm().item<float>());
        foreach (var name in exact.Keys) differences.RelativeNorm(name, rounded[name], exact[name], 1e-5, floor);
        differences.Report("gradients");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void Without_gradients_the_loss_is_the_same(int multiple)
    {
        using var scope = NewDisposeScope();
        using var automatic = new Phi3VModel(TinyModel.Config, TinyModel.Weights());
        var kernels = new PlainKernels { LengthMultiple = multiple };
        using var byHand = new Phi3VModel(TinyModel.Config, TinyModel.Weights(), new() { Kernels = kernels });

        Assert.Equal(automatic.Loss(TinyModel.TwoImages()), byHand.Loss(TinyModel.TwoImages()), 1e-5);
    }

    /// <summary>
    /// The tiny model's random weights are large, and make some fifteen times as much of a product's 4 % on the way through its layers.
    /// </summary>
    [Theory]
    [InlineData("decoder", ActivationCheckpointing.None)]
    [InlineData("decoder", ActivationCheckpointing.Selective)]
    [InlineData("adapters", ActivationCheckpointing.Full)]
    public void Gradients_of_8_bit_products_point_the_same_way(string trained, ActivationCheckpointing checkpointing)
    {
        using var scope = NewDisposeScope();

        var (expected, exact) = Run(trained, new() { Checkpointing = checkpointing });
        var (losses, rounded) = Run(trained, new() { Checkpointing = checkpointing, Kernels = new PlainKernels(), Fp8 = true });

        Assert.All(expected.Zip(losses), pair => Assert.Equal(pair.First, pair.Second, 0.03 * pair.First));
        Assert.NotEqual(expected, losses); // or they were not rounded
        var (a, b) = (Flat(exact), Flat(rounded));
        var cosine = a.dot(b).item<float>() / (a.norm().item<float>() * b.norm().item<float>());
        Assert.InRange(cosine, 0.8, 0.99);

        static Tensor Flat(SortedDictionary<string, Tensor> gradients) => cat([.. gradients.Values.Select(one => one.flatten())]);
    }

    private static (double[] Losses, SortedDictionary<string, Tensor> Gradients) Run(string what, ComputeOptions options)
    {
        Predicate<string> isTrained = what switch
        {
            "decoder" => name => name.StartsWith("model.layers.", StringComparison.Ordinal),
            "norms" => name => name.Contains("norm", StringComparison.Ordinal),
            "adapters" => _ => false,
            _ => _ => true,
        };
        var weights = TinyModel.Weights(isTrained);
        var leaves = Phi3VWeights.List(TinyModel.Config)
            .Where(info => isTrained(info.Name)).ToDictionary(info => info.Name, info => weights[info.Name]);
        if (what.StartsWith("adapters", StringComparison.Ordinal))
        {
            string[] modules = [.. TinyAdapters.Everywhere, .. TinyAdapters.InDecoder.Take(4)];
            foreach (var (name, leaf) in TinyAdapters.Attach(weights, modules)) leaves[name] = leaf;
        }
        foreach (var leaf in leaves.Values) leaf.grad = zeros_like(leaf); // as a gradient store does
        using var model = new Phi3VModel(TinyModel.Config, weights, options);
        ModelInput[] inputs = [TinyModel.Text(9), TinyModel.TwoImages(), TinyModel.Text(30)];
        var losses = model.ForwardBackward(inputs, [1, 2, 0.5]).Means.ToArray();
        return (losses, new(leaves.ToDictionary(leaf => leaf.Key, leaf => leaf.Value.grad!)));
    }
}
