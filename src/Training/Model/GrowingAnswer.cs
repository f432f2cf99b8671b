using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>An answer while it is generated: its tokens so far, and what the decoder keeps of prompt and answer.</summary>
internal sealed class GrowingAnswer : IDisposable
{
    private readonly Phi3VModel _model;
    private readonly ModelInput _prompt;
    private readonly TextGenerationOptions _options;
    private readonly long _most;
    private readonly List<long> _tokens = [];
    private readonly List<double> _logProbabilities = [];

    /// <exception cref="ArgumentException">The prompt is empty, or longer than the context.</exception>
    public GrowingAnswer(Phi3VModel model, ModelInput prompt, TextGenerationOptions options)
    {
        (_model, _prompt, _options) = (model, prompt, options);
        var (length, context) = (prompt.Ids.Length, model.Config.MaxPositions);
        if (length == 0 || length > context)
            throw new ArgumentException($"a prompt has from 1 to {context} tokens, this one has {length}", nameof(prompt));
        _most = Math.Min(options.MaxNewTokens, context - length + 1); // the last token is not read again
        Caches = [.. Enumerable.Range(0, model.Decoder.LayerCount).Select(_ => new KeyValueCache(length + _most))];
    }

    /// <summary>One a layer.</summary>
    public KeyValueCache[] Caches { get; }

    /// <summary>Memory that <see cref="Caches"/> take, all layers together.</summary>
    public long CacheBytes => Caches.Length * (_prompt.Ids.Length + _most) * _model.CacheBytesPerPosition;

    public GeneratedText Text => new(_tokens, _logProbabilities);

    /// <summary>As long as it may be, or ended by one of <see cref="TextGenerationOptions.StopIds"/>.</summary>
    public bool IsDone => _tokens.Count == _most || (_tokens.Count > 0 && !_options.IgnoreEos && _options.StopIds.Contains(_tokens[^1]));

    /// <summary>Whether the caches hold nothing of use: at the start, and where the next position changes how all are rotated.</summary>
    public bool MustRead => !IsDone
        && (Caches[0].Length == 0 || _model.Decoder.Rope.IsLong(Length) != _model.Decoder.Rope.IsLong(Caches[0].Length));

    public long LastToken => _tokens[^1];

    /// <summary>Positions that the caches do not hold yet.</summary>
    public long Unread => Length - Caches[0].Length;

    private long Length => _prompt.Ids.Length + _tokens.Count;

    /// <summary>Embeddings of everything, [L, hidden]; empties the caches.</summary>
    public Tensor ReadFromStart(CancellationToken stop = default)
    {
        foreach (var cache in Caches) cache.Clear();
        var prompt = _model.Embed(_prompt, stop);
        return _tokens.Count == 0 ? prompt : cat([prompt, _model.Embed(new([.. _tokens], null, []))], 0);
    }

    /// <summary>The next token; an answer that is done by it frees its caches.</summary>
    /// <param name="logProbability">Natural logarithm, of the token given all before it.</param>
    public void Add(long token, double logProbability)
    {
        _tokens.Add(token);
        _logProbabilities.Add(logProbability);
        if (IsDone) Dispose(); // others may grow on for long
    }

    public void Dispose()
    {
        foreach (var cache in Caches) cache.Dispose();
    }
}
