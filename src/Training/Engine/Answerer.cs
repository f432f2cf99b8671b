using Phi3VCluster.Spec;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Processing;

namespace Phi3VCluster.Training.Engine;

/// <summary>Prompts in, greedy answers as text out.</summary>
internal sealed class Answerer(Phi3VModel model, Tokenizer tokenizer)
{
    private const string EndOfText = "<|endoftext|>";

    private readonly long _endOfText = tokenizer.IdOf(EndOfText)
        ?? throw new InputException($"model.path: the tokenizer has no {EndOfText}; use the tokenizer.json of a Phi-3-Vision checkpoint.");

    /// <summary>The answers of prompts, in their order.</summary>
    /// <exception cref="OperationCanceledException">Between two layers.</exception>
    public IReadOnlyList<Answer> Ask(IReadOnlyList<ModelInput> prompts, int maxNewTokens, CancellationToken stop, bool ignoreEndOfText = false)
    {
        var options = new GenerationOptions { MaxNewTokens = maxNewTokens, StopIds = [_endOfText], IgnoreEos = ignoreEndOfText };
        var generated = model.Generate(prompts, options, stop);
        return [.. generated.Select(text => new Answer(tokenizer.Decode([.. text.Tokens], skipSpecial: true), text.Tokens, text.LogProbabilities))];
    }
}

/// <param name="Text">Special tokens left out.</param>
/// <param name="Tokens">The new ids, a stop id included.</param>
/// <param name="LogProbabilities">Of each new token.</param>
internal sealed record Answer(string Text, IReadOnlyList<long> Tokens, IReadOnlyList<double> LogProbabilities);
