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
        Compare(inputTrained, [firstTrained, secondTrained, thirdTrained], recomputes: false);
        Compare(inputTrained, [firstTrained, secondTrained, thirdTrained], recomputes: true);
    }

    [Fact]
    public void Units_are_told_when_their_last_stretch_is_done()
    {
        using var scope = NewDisposeScope();
        var (weights, heard) = (Weights([false, true, true, true]), new List<string>());
        var tape = new LayerTape(records: true, unitDone: heard.Add);
        var y = TinyModel.Random("input", 5, 4);
        foreach (var (weight, unit) in weights.Zip((string[])["frozen", "one", "one", "two"]))
            y = tape.Run(y, new(x => Layer(x, weight), weight.requires_grad) { Unit = unit });

        tape.Backward(ones_like(y));

        Assert.Equal(["two", "one"], heard);
        Assert.All(weights.Skip(1), weight => Assert.NotNull(weight.grad));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Once_stopped_no_further_stretch_is_run_there_or_back(bool onTheWayThere)
    {
        using var scope = NewDisposeScope();
        using var stop = new CancellationTokenSource();
        var (ran, heard) = (0, new List<string>());
        var tape = new LayerTape(records: true, unitDone: Hear, stop: stop.Token);
        var y = TinyModel.Random("input", 5, 4);

        Assert.Throws<OperationCanceledException>(() =>
        {
            for (var i = 0; i < 4; i++) y = tape.Run(y, new(x => Next(x), IsTrained: true) { Unit = $"{i}" });
            tape.Backward(ones_like(y));
        });

        Assert.Equal((onTheWayThere ? 2 : 4, onTheWayThere ? 0 : 1), (ran, heard.Count));

        void Hear(string unit)
        {
            heard.Add(unit);
            stop.Cancel();
        }

        Tensor Next(Tensor x)
        {
            if (++ran == 2 && onTheWayThere) stop.Cancel();
            return Layer(x, Weights([true])[0]);
        }
    }

    private static void Compare(bool inputTrained, bool[] trained, bool recomputes)
    {
        using var scope = NewDisposeScope();
        var (ours, whole) = (Weights(trained), Weights(trained));
        var input = TinyModel.Random("input", 5, 4).requires_grad_(inputTrained);
        var tape = new LayerTape(records: true, inputNeedsGradient: inputTrained);

        var y = input;
        foreach (var (weight, isTrained) in ours.Zip(trained))
            y = tape.Run(y, new(x => Layer(x, weight), isTrained) { Recomputes = recomputes, Unit = "one" });
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
