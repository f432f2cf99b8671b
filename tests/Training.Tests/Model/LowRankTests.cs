using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

public sealed class LowRankTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Merged_weights_give_the_logits_of_weights_and_updates(bool dora)
    {
        using var scope = NewDisposeScope();
        var (attached, merged, plain) = (TinyModel.Weights(), TinyModel.Weights(), TinyModel.Weights());
        foreach (var map in Phi3VWeights.List(TinyModel.Config).Where(WeightRules.IsAdapted))
        {
            var module = WeightRules.ModuleOf(map.Name);
            var (a, b) = (TinyModel.Random(module + "A", 2, map.Shape[1]), TinyModel.Random(module + "B", map.Shape[0], 2));
            var update = new LowRank(a * 0.3, b * 0.3, 1.5)
            {
                Magnitude = dora ? 1 + TinyModel.Random(module + "m", map.Shape[0]).abs() : null,
            };
            attached.Attach(module, update);
            update.MergeInto(merged[map.Name]);
        }
        var (input, rows) = (TinyModel.TwoImages(), (long[])[0, 3, 200, 500]);

        var (expected, got, other) = (Logits(attached), Logits(merged), Logits(plain));

        Assert.InRange((got - expected).abs().max().item<float>(), 0, 1e-4);
        Assert.True((expected - other).abs().max().item<float>() > 0.1);

        Tensor Logits(ModelWeights weights)
        {
            using var model = new Phi3VModel(TinyModel.Config, weights);
            return model.Inspect(input, rows).Logits;
        }
    }
}
