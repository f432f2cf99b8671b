using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Model.Quantization;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>Three layers' maps of a kind share one place: what one layer's backward reads, another's forward has overwritten.</summary>
public sealed class Nf4MatrixTests
{
    [Theory]
    [InlineData(ActivationCheckpointing.None, false)]
    [InlineData(ActivationCheckpointing.Selective, false)]
    [InlineData(ActivationCheckpointing.Full, false)]
    [InlineData(ActivationCheckpointing.None, true)]
    [InlineData(ActivationCheckpointing.Full, true)]
    public void Gradients_over_shared_places_are_those_over_the_same_numbers_kept_dense(ActivationCheckpointing checkpointing, bool dora)
    {
        using var scope = NewDisposeScope();
        var (packed, dense) = (TinyModel.Weights(), TinyModel.Weights());
        var owned = new List<IDisposable>();
        foreach (var name in TinyAdapters.InDecoder.Select(module => module + ".weight"))
        {
            var weight = Nf4Tensor.Quantize(packed[name], doubleQuantization: false, CPU);
            owned.Add(weight);
            dense[name] = weight.Dequantize(ScalarType.Float32);
            packed.Quantize(name, weight, ScalarType.Float32, place =>
            {
                owned.Add(place);
                return place;
            });
        }

        var (expected, gradients) = Run(dense, checkpointing, dora);
        var (losses, ours) = Run(packed, checkpointing, dora);

        Assert.Equal(4, owned.OfType<Nf4Place>().Count()); // one a kind
        Assert.Equal(expected, losses);
        foreach (var name in gradients.Keys)
            Assert.True(gradients[name].equal(ours[name]).all().item<bool>(), name);
        owned.ForEach(one => one.Dispose());
    }

    private static (double[] Losses, Dictionary<string, Tensor> Gradients) Run(
        ModelWeights weights, ActivationCheckpointing checkpointing, bool dora)
    {
        var trained = TinyAdapters.Attach(weights, TinyAdapters.InDecoder, dora: dora);
        using var model = new Phi3VModel(TinyModel.Config, weights, new() { Checkpointing = checkpointing });
        ModelInput[] inputs = [TinyModel.Text(9), TinyModel.TwoImages(), TinyModel.Text(20)];
        var losses = Enumerable.Range(0, 2).SelectMany(_ => model.ForwardBackward(inputs, [1, 1, 1]).Means).ToArray();
        return (losses, trained.ToDictionary(pair => pair.Key, pair => pair.Value.grad!));
    }
}
