using System.Runtime.InteropServices;
using System.Text;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// Text to token ids and back, identical to Hugging Face's <c>tokenizers</c> on a Llama-style <c>tokenizer.json</c>: BPE with byte
/// fallback, added tokens split out before anything else. Thread-safe.
/// </summary>
public sealed class Tokenizer
{
    private readonly AddedTokens _added;
    private readonly AddedTokens? _normalized; // null where there are none
    private readonly Normalizer _normalizer;
    private readonly Metaspace? _metaspace;
    private readonly BytePairEncoder _model;
    private readonly TokenDecoder _decoder;
    private readonly Dictionary<string, int> _idOf;

    internal Tokenizer(TokenizerJson file)
    {
        _idOf = new(file.Vocabulary, StringComparer.Ordinal);
        foreach (var token in file.AddedTokens) _idOf[token.Content] = token.Id;
        _normalizer = new(file.NormalizerSteps);
        _metaspace = file.PreTokenizer;
        _added = new(file.AddedTokens.Where(token => !token.Normalized));
        // A Prepend step spells them with a mark in front, so they are found after a blank and not within a word: tokenizers does so too.
        var normalized = file.AddedTokens.Where(token => token.Normalized)
            .Select(token => token with { Content = _normalizer.Apply(token.Content) }).ToList();
        _normalized = normalized.Count > 0 ? new(normalized) : null;
        LargestId = _idOf.Count == 0 ? -1 : _idOf.Values.Max();
        _model = new(file);
        _decoder = new(file.DecoderSteps, _idOf, file.AddedTokens);
        BosId = file.BosId;
    }

    /// <summary>Id of the token that begins every piece.</summary>
    public long BosId { get; }

    /// <summary>The largest id of a token.</summary>
    public int LargestId { get; }

    /// <summary>Reads <c>tokenizer.json</c>.</summary>
    /// <exception cref="InputException">The file is missing, broken, or asks for something this tokenizer does not do.</exception>
    public static Tokenizer Load(string folder) => new(TokenizerJson.Read(Path.Combine(folder, "tokenizer.json")));

    /// <summary>Id of a whole token as the vocabulary spells it (▁ for a leading space); null when there is none.</summary>
    public long? IdOf(string token) => _idOf.TryGetValue(token, out var id) ? id : null;

    /// <summary>The text's ids; added tokens found in it become theirs.</summary>
    public long[] Encode(string text, bool addBos)
    {
        var ids = new List<long>(text.Length / 3 + 8);
        Encode(text, addBos, ids);
        return [.. ids];
    }

    /// <summary>The same, appended to <paramref name="ids"/>.</summary>
    public void Encode(string text, bool addBos, List<long> ids)
    {
        if (addBos) ids.Add(BosId);
        var done = 0;
        foreach (var (start, end, id) in _added.Find(text))
        {
            EncodePiece(text, done, start, ids);
            ids.Add(id);
            done = end;
        }
        EncodePiece(text, done, text.Length, ids);
    }

    /// <summary>The token of an id beyond weights of <paramref name="rows"/> rows, and what to do; null where all are within.</summary>
    public string? BeyondWeights(ReadOnlySpan<long> ids, int rows)
    {
        if (LargestId < rows) return null;
        foreach (var id in ids)
            if (id >= rows)
                return $"token {Shown.Value(_idOf.First(token => token.Value == id).Key)} has id {id}, "
                    + $"and the model's weights have {rows} rows (vocab_size): it was added to the tokenizer alone; "
                    + "add it to the weights too, or take it out of the text";
        return null;
    }

    /// <summary>The ids' text. Ids of no token, image placeholders among them, are left out.</summary>
    /// <param name="skipSpecial">Leave out tokens that the file marks as special.</param>
    public string Decode(ReadOnlySpan<long> ids, bool skipSpecial) => _decoder.Decode(ids, skipSpecial);

    private void EncodePiece(string text, int start, int end, List<long> ids)
    {
        if (start == end) return;
        var (piece, done) = (_normalizer.Apply(text[start..end]), 0);
        if (_normalized is not null)
            foreach (var (from, to, id) in _normalized.Find(piece))
            {
                EncodeWords(piece[done..from], isFirst: start == 0 && done == 0, ids);
                ids.Add(id);
                done = to;
            }
        EncodeWords(done == 0 ? piece : piece[done..], isFirst: start == 0 && done == 0, ids);
    }

    /// <param name="isFirst">Whether the text begins here.</param>
    private void EncodeWords(string piece, bool isFirst, List<long> ids)
    {
        if (piece.Length == 0) return;
        if (_metaspace is null) _model.Encode(piece, ids);
        else foreach (var word in _metaspace.Words(piece, isFirst)) _model.Encode(word, ids);
    }
}
