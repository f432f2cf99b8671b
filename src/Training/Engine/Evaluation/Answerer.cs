using Phi3VCluster.Spec;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Processing;

namespace Phi3VCluster.Training.Engine;

/// <summary>Prompts in, greedy answers as text out.</summary>
/// <param name="ends">Ids that end an answer beside &lt;|endoftext|&gt;.</param>
internal sealed class Answerer(Phi3VModel model, Tokenizer tokenizer, IReadOnlyList<long>? ends = null)
{
    private const string EndOfText = "<|endoftext|>";

    private readonly long _endOfText = tokenizer.IdOf(EndOfText)
        ?? throw new InputException($"model.path: the tokenizer has no {EndOfText}; use the tokenizer.json of a Phi-3-Vision checkpoint.");

    /// <summary>The answers of prompts, in their order.</summary>
    /// <exception cref="OperationCanceledException">Between two layers.</exception>
    public IReadOnlyList<GeneratedAnswer> Ask(
        IReadOnlyList<ModelInput> prompts, int maxNewTokens, CancellationToken stop, bool ignoreEndOfText = false)
    {
        IReadOnlyList<long> stopIds = [_endOfText, .. ends ?? []];
        var options = new TextGenerationOptions { MaxNewTokens = maxNewTokens, StopIds = stopIds, IgnoreEos = ignoreEndOfText };
        var generated = model.Generate(prompts, options, stop);
        return [.. generated.Select(text => new GeneratedAnswer(
            tokenizer.Decode([.. text.Tokens], skipSpecial: true), text.Tokens, text.LogProbabilities,
            !ignoreEndOfText && stopIds.Contains(text.Tokens[^1]) ? "stop" : "length"))];
    }
}

/// <param name="Text">Special tokens left out.</param>
/// <param name="Tokens">The new ids, a stop id included.</param>
/// <param name="LogProbabilities">Of each new token.</param>
/// <param name="FinishReason">stop: it ended; length: it was cut.</param>
internal sealed record GeneratedAnswer(
    string Text, IReadOnlyList<long> Tokens, IReadOnlyList<double> LogProbabilities, string FinishReason);
