using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>A part of the model between two tensors that the tape keeps.</summary>
/// <param name="Forward">Called once, or once more on the way back; the same input must give the same output.</param>
/// <param name="IsTrained">Whether something inside takes a gradient.</param>
internal sealed record Stretch(Func<Tensor, Tensor> Forward, bool IsTrained)
{
    /// <summary>Keep the input alone, and compute the rest again when backward needs it.</summary>
    public bool Recomputes { get; init; }

    /// <summary>Puts back, before backward, what forward read and nobody kept: weights that are unpacked for one layer at a time.</summary>
    public Action? Restore { get; init; }

    /// <summary>Stretches of one unit follow each other; the listener hears of it when the last of them is done.</summary>
    public required string Unit { get; init; }
}

/// <summary>
/// Runs a model stretch by stretch and back again: each is an autograd graph of its own, freed as soon as its backward is done.
/// Stretches below the lowest trained one run without a graph, and their inputs get no gradient.
/// </summary>
/// <param name="records">False runs everything without graphs.</param>
/// <param name="inputNeedsGradient">Whether something below the first stretch is trained.</param>
/// <param name="unitDone">Hears of every unit whose gradients are complete.</param>
internal sealed class LayerTape(bool records, bool inputNeedsGradient = false, Action<string>? unitDone = null)
{
    private readonly Stack<(Stretch Stretch, Tensor Input, Tensor? Output)> _done = new();
    private Tensor? _between;

    /// <summary>Whether anything up to here is trained.</summary>
    public bool NeedsGradient { get; private set; } = inputNeedsGradient;

    public Tensor Run(Tensor x, Stretch stretch)
    {
        using var scope = NewDisposeScope();
        if (!records || !(NeedsGradient || stretch.IsTrained)) return RunWithoutGraph(x, stretch, keepsInput: false);
        var input = x.detach().requires_grad_(NeedsGradient).MoveToOuterDisposeScope();
        NeedsGradient = true;
        if (stretch.Recomputes)
        {
            _done.Push((stretch, input, null));
            return RunWithoutGraph(x, stretch, keepsInput: true);
        }
        var output = stretch.Forward(input).MoveToOuterDisposeScope();
        _done.Push((stretch, input, output));
        return output;
    }

    /// <summary>Backward through everything run since the last call. Trained leaves accumulate into their grad.</summary>
    /// <param name="gradient">With respect to the last output; disposed here.</param>
    /// <returns>The gradient of the first input; null where nothing below is trained.</returns>
    public Tensor? Backward(Tensor gradient)
    {
        Tensor? below = gradient;
        while (below is not null && _done.TryPop(out var last))
        {
            below = Back(last.Stretch, last.Input, last.Output, below);
            if (!_done.TryPeek(out var next) || next.Stretch.Unit != last.Stretch.Unit) unitDone?.Invoke(last.Stretch.Unit);
        }
        return below;
    }

    private Tensor RunWithoutGraph(Tensor x, Stretch stretch, bool keepsInput)
    {
        using var _ = no_grad();
        var y = stretch.Forward(x).MoveToOuterDisposeScope();
        if (!keepsInput && ReferenceEquals(x, _between)) x.Dispose(); // nobody goes back: two stretches' tensors at a time are enough
        return _between = y;
    }

    private static Tensor? Back(Stretch stretch, Tensor input, Tensor? output, Tensor gradient)
    {
        using (NewDisposeScope())
        {
            if (output is null) output = stretch.Forward(input);
            else stretch.Restore?.Invoke();
            autograd.backward([output], [gradient]);
            gradient.Dispose();
            output.Dispose(); // the last reference to the stretch's graph
        }
        var below = input.requires_grad ? input.grad : null;
        input.Dispose();
        return below;
    }
}
