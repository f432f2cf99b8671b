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

    /// <summary>The same computation with a backward of its own, where there is one: then autograd sees nothing of it.</summary>
    public Func<Tensor, HandWritten>? ByHand { get; init; }

    /// <summary>Stretches of one unit follow each other; the listener hears of it when the last of them is done.</summary>
    public required string Unit { get; init; }
}

/// <summary>A stretch that has been run forward, and how to go back through it.</summary>
/// <param name="Kept">What <paramref name="Back"/> will read besides the stretch's input, for the tape to keep and to free.</param>
/// <param name="Back">
/// From the output's gradient, and whether the input's is asked for, to that of the input. Adds to the grad of trained leaves. Without
/// graphs.
/// </param>
internal sealed record HandWritten(Tensor Output, IReadOnlyList<Tensor> Kept, Func<Tensor, bool, Tensor?> Back);

/// <summary>
/// Runs a model stretch by stretch and back again: each is an autograd graph of its own, freed as soon as its backward is done.
/// Stretches below the lowest trained one run without a graph, and their inputs get no gradient.
/// </summary>
/// <param name="records">False runs everything without graphs.</param>
/// <param name="inputNeedsGradient">Whether something below the first stretch is trained.</param>
/// <param name="unitDone">Hears of every unit whose gradients are complete.</param>
/// <param name="stop">Ends the way there and back before the next stretch, with an <see cref="OperationCanceledException"/>.</param>
internal sealed class LayerTape(
    bool records, bool inputNeedsGradient = false, Action<string>? unitDone = null, CancellationToken stop = default)
{
    private readonly Stack<(Stretch Stretch, Tensor Input, Tensor? Output, HandWritten? Hand)> _done = new();
    private Tensor? _between;

    /// <summary>Whether anything up to here is trained.</summary>
    public bool NeedsGradient { get; private set; } = inputNeedsGradient;

    /// <summary>Forward through one stretch; what <see cref="Backward"/> needs is kept here.</summary>
    /// <param name="x">Most often the last stretch's output; a stretch without a graph frees that.</param>
    public Tensor Run(Tensor x, Stretch stretch)
    {
        stop.ThrowIfCancellationRequested();
        using var scope = NewDisposeScope();
        if (!records || !(NeedsGradient || stretch.IsTrained)) return RunWithoutGraph(x, stretch, keepsInput: false);
        var input = x.detach().requires_grad_(NeedsGradient).MoveToOuterDisposeScope();
        NeedsGradient = true;
        if (stretch.Recomputes)
        {
            _done.Push((stretch, input, null, null));
            return RunWithoutGraph(x, stretch, keepsInput: true);
        }
        if (stretch.ByHand is { } byHand)
        {
            using var _ = no_grad();
            var hand = byHand(input);
            foreach (var kept in hand.Kept) kept.MoveToOuterDisposeScope();
            _done.Push((stretch, input, null, hand));
            return hand.Output.MoveToOuterDisposeScope();
        }
        var output = stretch.Forward(input).MoveToOuterDisposeScope();
        _done.Push((stretch, input, output, null));
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
            stop.ThrowIfCancellationRequested();
            below = last.Stretch.ByHand is null
                ? Back(last.Stretch, last.Input, last.Output, below)
                : BackByHand(last.Hand, last.Stretch.ByHand, last.Input, below);
            if (!_done.TryPeek(out var next) || next.Stretch.Unit != last.Stretch.Unit) unitDone?.Invoke(last.Stretch.Unit);
        }
        return below;
    }

    private Tensor RunWithoutGraph(Tensor x, Stretch stretch, bool keepsInput)
    {
        using var _ = no_grad();
        var y = (stretch.ByHand?.Invoke(x).Output ?? stretch.Forward(x)).MoveToOuterDisposeScope();
        if (!keepsInput && ReferenceEquals(x, _between)) x.Dispose(); // nobody goes back: two stretches' tensors at a time are enough
        return _between = y;
    }

    /// <param name="hand">Null where forward has kept the input alone.</param>
    private static Tensor? BackByHand(HandWritten? hand, Func<Tensor, HandWritten> again, Tensor input, Tensor gradient)
    {
        using var _ = no_grad();
        Tensor? below;
        using (NewDisposeScope())
        {
            hand ??= again(input);
            below = hand.Back(gradient, input.requires_grad)?.MoveToOuterDisposeScope();
            gradient.Dispose();
            foreach (var kept in hand.Kept) kept.Dispose();
        }
        input.Dispose();
        return below;
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
