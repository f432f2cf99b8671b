using Phi3VCluster.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

public sealed class LayerTapeTests
{
    [Theory]
    [InlineData(true, true, true, true)]
    [InlineData(false, true, true, true)]
    [InlineData(false, false, true, false)]
    [InlineData(true, false, false, false)]
    [InlineData(true, false, false, true)]
    public void Backward_layer_by_layer_is_autograd_over_the_whole(
        bool inputTrained, bool firstTrained, bool secondTrained, bool thirdTrained)
    {
        using var scope = NewDisposeScope();
        var trained = new[] { firstTrained, secondTrained, thirdTrained };
        var (ours, whole) = (Weights(trained), Weights(trained));
        var input = TinyModel.Random("input", 5, 4).requires_grad_(inputTrained);
        var tape = new LayerTape(records: true, inputNeedsGradient: inputTrained);

        var y = input;
        foreach (var (weight, isTrained) in ours.Zip(trained)) y = tape.Run(y, isTrained, x => Layer(x, weight));
        var below = tape.Backward(TinyModel.Random("gradient", 5, 4));

        autograd.backward([whole.Aggregate(input, Layer)], [TinyModel.Random("gradient", 5, 4)]);
        for (var i = 0; i < trained.Length; i++) AssertSame(whole[i].grad, ours[i].grad);
        AssertSame(input.grad, below);
    }

    private static Tensor Layer(Tensor x, Tensor weight) => x + nn.functional.silu(x.mm(weight));

    private static Tensor[] Weights(bool[] trained) =>
        [.. trained.Select((t, i) => TinyModel.Random($"weight {i}", 4, 4).requires_grad_(t))];

    private static void AssertSame(Tensor? expected, Tensor? actual)
    {
        Assert.Equal(expected is null, actual is null);
        if (expected is not null) Assert.Equal(expected.data<float>().ToArray(), actual!.data<float>().ToArray());
    }
}
