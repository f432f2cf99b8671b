using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>
/// Greedy generation with cached keys and values. Prompts are read one by one, for each fills the device; the answers then grow together,
/// a token each at a time, so that the weights are read once for all of them.
/// </summary>
public static class TextGenerator
{
    /// <summary>Answers in the order of the prompts; an answer ends where the model's context does.</summary>
    /// <exception cref="ArgumentException">A prompt is empty, or longer than the context.</exception>
    /// <exception cref="OperationCanceledException">Between two layers.</exception>
    public static IReadOnlyList<GeneratedText> Generate(
        this Phi3VModel model, IReadOnlyList<ModelInput> prompts, TextGenerationOptions options, CancellationToken stop = default)
    {
        var answers = prompts.Select(prompt => new GrowingAnswer(model, prompt, options)).ToList();
        for (var first = 0; first < answers.Count;)
        {
            var bytes = 0L;
            var together = answers.Skip(first)
                .TakeWhile((answer, i) => (bytes += answer.CacheBytes) <= options.MaxCacheBytes || i == 0).ToList();
            GrowTogether(model, together, stop);
            first += together.Count;
        }
        return [.. answers.Select(answer => answer.Text)];
    }

    private static void GrowTogether(Phi3VModel model, List<GrowingAnswer> answers, CancellationToken stop)
    {
        try
        {
            while (answers.Exists(answer => !answer.IsDone))
            {
                // Who has nothing cached reads alone; the others' next token is one pass.
                foreach (var answer in answers.Where(answer => answer.MustRead).ToList())
                {
                    stop.ThrowIfCancellationRequested();
                    Advance(model, [answer], () => answer.ReadFromStart(stop), stop);
                }
                stop.ThrowIfCancellationRequested();
                var growing = answers.Where(answer => answer is { IsDone: false, MustRead: false }).ToList();
                if (growing.Count == 0) continue;
                Advance(model, growing, () => model.Embed(new([.. growing.Select(answer => answer.LastToken)], null, [])), stop);
            }
        }
        finally
        {
            answers.ForEach(answer => answer.Dispose());
        }
    }

    /// <summary>One token more for each of the answers.</summary>
    /// <param name="embed">What their caches do not hold yet, one behind the other.</param>
    private static void Advance(Phi3VModel model, List<GrowingAnswer> answers, Func<Tensor> embed, CancellationToken stop)
    {
        using var scope = NewDisposeScope();
        KeyValueCache[][] caches = [.. answers.Select(answer => answer.Caches)];
        var logits = model.Decoder.Continue(embed(), caches, [.. answers.Select(answer => answer.Unread)], stop);
        var (best, at) = nn.functional.log_softmax(logits, 1).max(1);
        var (tokens, logProbabilities) = (at.cpu().data<long>().ToArray(), best.cpu().data<float>().ToArray()); // waits for the device
        for (var i = 0; i < answers.Count; i++) answers[i].Add(tokens[i], logProbabilities[i]);
    }
}

/// <param name="Tokens">The new ids, a stop id included.</param>
/// <param name="LogProbabilities">Of each new token, given all before it; natural logarithms.</param>
public sealed record GeneratedText(IReadOnlyList<long> Tokens, IReadOnlyList<double> LogProbabilities);

/// <summary>How long an answer grows.</summary>
public sealed record TextGenerationOptions
{
    public int MaxNewTokens { get; init; } = 64;
    /// <summary>Ids that end an answer: &lt;|endoftext|&gt; unless set.</summary>
    public IReadOnlyList<long> StopIds { get; init; } = [32000];
    /// <summary>Always generate <see cref="MaxNewTokens"/>.</summary>
    public bool IgnoreEos { get; init; }
    /// <summary>Keys and values of answers that grow together take no more; a single answer takes what it needs.</summary>
    public long MaxCacheBytes { get; init; } = 4L << 30;
}
