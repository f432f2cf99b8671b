namespace Phi3VCluster.Training.Processing;

/// <summary>One normaliser step of tokenizer.json.</summary>
internal abstract record NormalizerStep
{
    /// <summary>Puts <paramref name="Text"/> in front of every piece that is not empty.</summary>
    internal sealed record Prepend(string Text) : NormalizerStep;

    internal sealed record Replace(string Pattern, string Content) : NormalizerStep;
}

/// <summary>Applies a file's normaliser steps to one piece between added tokens.</summary>
internal sealed class Normalizer(IReadOnlyList<NormalizerStep> steps)
{
    public string Apply(string piece)
    {
        foreach (var step in steps)
        {
            piece = step switch
            {
                NormalizerStep.Prepend prepend => piece.Length == 0 ? piece : prepend.Text + piece,
                NormalizerStep.Replace replace => piece.Replace(replace.Pattern, replace.Content, StringComparison.Ordinal),
                _ => throw new InvalidOperationException($"no such normaliser step: {step}"),
            };
        }
        return piece;
    }
}
