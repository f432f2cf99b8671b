using Phi3VCluster.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>Agreement with the model's definition on inputs of our own: it needs no reference results on the disk.</summary>
[Trait("Category", "Parity")]
public sealed class PlainParityTests
{
    public static TheoryData<string> Inputs => ["short text", "text beyond the original length", "two images"];

    [Theory, MemberData(nameof(Inputs))]
    public void Activations_loss_and_gradients_are_those_of_the_definition(string what)
    {
        using var scope = NewDisposeScope();
        var (weights, own, input) = (TinyModel.Weights(_ => true), TinyModel.Weights(_ => true), Input(what));
        using var model = new Phi3VModel(TinyModel.Config, own);
        var expected = new PlainPhi3V(TinyModel.Config, weights).Forward(input);
        var expectedLoss = PlainPhi3V.Loss(expected.Logits, input.Labels!);
        expectedLoss.backward();
        var floor = 1e-5 * Phi3VWeights.List(TinyModel.Config).Max(info => weights[info.Name].grad?.norm().item<float>() ?? 0);
        var differences = new Differences();

        var got = model.Inspect(input, [.. Enumerable.Range(0, input.Ids.Length).Select(i => (long)i)]);
        var loss = model.ForwardBackward(input, 1);

        for (var i = 0; i < got.Layers.Count; i++)
            differences.RelativeNorm($"layer {i}", got.Layers[i], expected.Layers[i].detach(), 1e-4, floor: 1);
        differences.RelativeNorm("logits", got.Logits, expected.Logits.detach(), 1e-4, floor: 1);
        differences.Add("loss", Math.Abs(loss - expectedLoss.item<float>()), 2e-4);
        foreach (var name in Phi3VWeights.List(TinyModel.Config).Select(info => info.Name))
        {
            differences.Same($"whether {name} has a gradient", weights[name].grad is null == own[name].grad is null);
            if (weights[name].grad is { } gradient && own[name].grad is { } ours)
                differences.RelativeNorm(name, ours, gradient, 1e-3, floor);
        }
        differences.Report(what);
    }

    [Theory, MemberData(nameof(Inputs))]
    public void Greedy_answers_are_those_of_the_definition(string what)
    {
        const int newTokens = 8; // the short text passes the original length on the way
        using var scope = NewDisposeScope();
        var (weights, input) = (TinyModel.Weights(), Input(what) with { Labels = null });
        using var model = new Phi3VModel(TinyModel.Config, weights);
        var plain = new PlainPhi3V(TinyModel.Config, weights);
        var (ids, differences) = (input.Ids.ToList(), new Differences());

        var got = Assert.Single(model.Generate([input], new() { MaxNewTokens = newTokens, IgnoreEos = true }));

        for (var i = 0; i < newTokens; i++)
        {
            var next = plain.Forward(input with { Ids = [.. ids] }).Logits[-1].log_softmax(0);
            Assert.Equal(next.argmax().item<long>(), got.Tokens[i]);
            differences.Add($"log-probability of token {i}", Math.Abs(next.max().item<float>() - got.LogProbabilities[i]), 5e-4);
            ids.Add(got.Tokens[i]);
        }
        differences.Report(what);
    }

    private static ModelInput Input(string what) => what switch
    {
        "short text" => TinyModel.Text(9),
        "text beyond the original length" => TinyModel.Text(30),
        _ => TinyModel.TwoImages(),
    };
}
