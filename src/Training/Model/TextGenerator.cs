using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>Greedy generation with cached keys and values.</summary>
public static class TextGenerator
{
    /// <summary>Answers each prompt on its own, in order; an answer ends where the model's context does.</summary>
    /// <exception cref="ArgumentException">A prompt is empty, or longer than the context.</exception>
    /// <exception cref="OperationCanceledException">Between two tokens.</exception>
    public static IReadOnlyList<GeneratedText> Generate(
        this Phi3VModel model, IReadOnlyList<ModelInput> prompts, GenerationOptions options, CancellationToken stop = default) =>
        [.. prompts.Select(prompt => Generate(model, prompt, options, stop))];

    private static GeneratedText Generate(Phi3VModel model, ModelInput prompt, GenerationOptions options, CancellationToken stop)
    {
        using var scope = NewDisposeScope();
        var (tokens, logProbabilities) = (new List<long>(), new List<double>());
        var (promptLength, context) = (prompt.Ids.Length, model.Config.MaxPositions);
        if (promptLength == 0 || promptLength > context)
            throw new ArgumentException($"a prompt has from 1 to {context} tokens, this one has {promptLength}", nameof(prompt));
        var most = Math.Min(options.MaxNewTokens, context - promptLength + 1); // the last token is not read again
        using var caches = new Caches(model.Decoder.LayerCount, promptLength + most);
        var embeddings = model.Embed(prompt);
        var rope = model.Decoder.Rope;
        while (tokens.Count < most)
        {
            stop.ThrowIfCancellationRequested();
            using var step = NewDisposeScope();
            var length = promptLength + tokens.Count;
            if (caches.Length > 0 && rope.IsLong(length) != rope.IsLong(caches.Length)) caches.Clear(); // rotated with other factors
            long[] ids = caches.Length > 0 ? [tokens[^1]] : [.. prompt.Ids, .. tokens];
            var added = caches.Length > 0 ? Text(ids) : tokens.Count == 0 ? embeddings : cat([embeddings, Text([.. tokens])], 0);
            var logits = model.Decoder.Continue(added, ids, caches.Layers);

            var (best, at) = nn.functional.log_softmax(logits, 1).max(1);
            tokens.Add(at.item<long>()); // waits for the device: the next step needs the token
            logProbabilities.Add(best.item<float>());
            if (!options.IgnoreEos && options.StopIds.Contains(tokens[^1])) break;
        }
        return new(tokens, logProbabilities);

        Tensor Text(long[] ids) => model.Embed(new(ids, null, []));
    }

    private sealed class Caches(int layerCount, long capacity) : IDisposable
    {
        public KeyValueCache[] Layers { get; } = [.. Enumerable.Range(0, layerCount).Select(_ => new KeyValueCache(capacity))];

        public long Length => Layers[0].Length;

        public void Clear()
        {
            foreach (var layer in Layers) layer.Clear();
        }

        public void Dispose()
        {
            foreach (var layer in Layers) layer.Dispose();
        }
    }
}

/// <param name="Tokens">The new ids, a stop id included.</param>
/// <param name="LogProbabilities">Of each new token.</param>
public sealed record GeneratedText(IReadOnlyList<long> Tokens, IReadOnlyList<double> LogProbabilities);

public sealed record GenerationOptions
{
    public int MaxNewTokens { get; init; } = 64;
    /// <summary>Ids that end an answer: &lt;|endoftext|&gt; unless set.</summary>
    public IReadOnlyList<long> StopIds { get; init; } = [32000];
    /// <summary>Always generate <see cref="MaxNewTokens"/>.</summary>
    public bool IgnoreEos { get; init; }
}
