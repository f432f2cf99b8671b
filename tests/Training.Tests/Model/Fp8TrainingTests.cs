using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>What is learned with 8-bit products is what is learned with exact ones, to their noise.</summary>
public sealed class Fp8TrainingTests
{
    private const int Steps = 30;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Losses_fall_as_they_do_with_exact_products(bool adapters)
    {
        using var scope = NewDisposeScope();

        var exact = Train(adapters, fp8: false);
        var rounded = Train(adapters, fp8: true);

        Assert.True(exact[^1] < exact[0] - 1, $"it learned nothing: {exact[0]} to {exact[^1]}");
        var apart = exact.Zip(rounded, (one, other) => Math.Abs(other - one)).Average();
        Assert.InRange(apart, 1e-4, 0.1 * exact[0]);
    }

    private static double[] Train(bool adapters, bool fp8)
    {
        var weights = TinyModel.Weights(name => !adapters && name.StartsWith("model.layers.", StringComparison.Ordinal));
        Tensor[] trained = adapters
            ? [.. TinyAdapters.Attach(weights, [.. TinyAdapters.InDecoder]).Values]
            : [.. Phi3VWeights.List(TinyModel.Config).Select(info => weights[info.Name]).Where(weight => weight.requires_grad)];
        using var model = new Phi3VModel(TinyModel.Config, weights, new() { Kernels = new PlainKernels(), Fp8 = fp8 });
        foreach (var leaf in trained) leaf.grad = zeros_like(leaf);
        var losses = new double[Steps];
        for (var step = 0; step < Steps; step++)
        {
            foreach (var leaf in trained) leaf.grad!.zero_();
            losses[step] = model.ForwardBackward([TinyModel.Text(9), TinyModel.Text(30)], [0.5, 0.5]).Means.Average();
            Descend(trained);
        }
        return losses;
    }
    /// <summary>A step of the same length for every value, as the first of Adam is.</summary>
    private static void Descend(IEnumerable<Tensor> trained)
    {
        using var quiet = no_grad();
        foreach (var leaf in trained) leaf.sub_(leaf.grad!.sign().mul(tensor(1e-3f)));
    }
}
