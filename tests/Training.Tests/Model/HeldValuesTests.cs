using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>8-bit copies of trained values: none is older than the values, and none is made while they are held.</summary>
public sealed class HeldValuesTests
{
    [Fact]
    public void A_pass_sees_the_values_as_they_are_and_held_ones_are_rounded_once()
    {
        using var scope = NewDisposeScope();
        const string name = "model.layers.0.mlp.down_proj.weight";
        var weights = TinyModel.Weights(weight => weight == name);
        weights[name].grad = zeros_like(weights[name]);
        using var model = new Phi3VModel(TinyModel.Config, weights, new() { Kernels = new PlainKernels(), Fp8 = true });
        var before = Loss();
        double held, heldAndChanged;
        using (model.HoldValues())
        {
            held = Loss();
            Change(-1);
            heldAndChanged = Loss();
        }
        var after = Loss();
        Change(-1);

        Assert.Equal(before, held);
        Assert.Equal(before, heldAndChanged); // the promise was broken, and nothing was read again
        Assert.NotEqual(before, after, 1e-3);
        Assert.Equal(before, Loss());

        double Loss() => model.ForwardBackward(TinyModel.Text(9), 1);

        void Change(float factor)
        {
            using var quiet = no_grad();
            weights[name].mul_(tensor(factor));
        }
    }
}
