using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>
/// Runs a model layer by layer and back again: each layer is an autograd graph of its own, freed as soon as its backward is done.
/// Layers below the lowest trained one run without a graph, and their inputs get no gradient.
/// </summary>
/// <param name="records">False runs everything without graphs.</param>
/// <param name="inputNeedsGradient">Whether something below the first layer is trained.</param>
internal sealed class LayerTape(bool records, bool inputNeedsGradient = false)
{
    private readonly Stack<(Tensor Input, Tensor Output)> _layers = new();
    private Tensor? _between;

    /// <summary>Whether anything up to here is trained.</summary>
    public bool NeedsGradient { get; private set; } = inputNeedsGradient;

    public Tensor Run(Tensor x, bool isTrained, Func<Tensor, Tensor> layer)
    {
        using var scope = NewDisposeScope();
        if (!records || !(NeedsGradient || isTrained))
        {
            using var _ = no_grad();
            var y = layer(x).MoveToOuterDisposeScope();
            if (ReferenceEquals(x, _between)) x.Dispose(); // nobody goes back: two layers' tensors at a time are enough
            return _between = y;
        }
        var input = x.detach().requires_grad_(NeedsGradient);
        var output = layer(input);
        NeedsGradient = true;
        _layers.Push((input.MoveToOuterDisposeScope(), output.MoveToOuterDisposeScope()));
        return output;
    }

    /// <summary>Backward through all layers run since the last call. Trained leaves accumulate into their grad.</summary>
    /// <param name="gradient">With respect to the last layer's output; disposed here.</param>
    /// <returns>The gradient of the first layer's input; null where nothing below is trained.</returns>
    public Tensor? Backward(Tensor gradient)
    {
        Tensor? below = gradient;
        while (below is not null && _layers.TryPop(out var layer)) below = Back(layer.Input, layer.Output, below);
        return below;
    }

    private static Tensor? Back(Tensor input, Tensor output, Tensor gradient)
    {
        autograd.backward([output], [gradient]);
        gradient.Dispose();
        output.Dispose(); // the last reference to the layer's graph
        var below = input.requires_grad ? input.grad : null;
        input.Dispose();
        return below;
    }
}
