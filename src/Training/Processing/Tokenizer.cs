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
    private readonly Normalizer _normalizer;
    private readonly BytePairEncoder _model;
    private readonly TokenDecoder _decoder;
    private readonly Dictionary<string, int> _idOf;

    internal Tokenizer(TokenizerJson file)
    {
        _idOf = new(file.Vocabulary, StringComparer.Ordinal);
        foreach (var token in file.AddedTokens) _idOf[token.Content] = token.Id;
        _added = new(file.AddedTokens);
        _normalizer = new(file.NormalizerSteps);
        _model = new(file);
        _decoder = new(file.DecoderSteps, _idOf, file.AddedTokens);
        BosId = file.BosId;
    }

    /// <summary>Id of the token that begins every piece.</summary>
    public long BosId { get; }

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
            EncodePiece(text.AsSpan(done, start - done), ids);
            ids.Add(id);
            done = end;
        }
        EncodePiece(text.AsSpan(done), ids);
    }

    /// <summary>The ids' text. Ids of no token, image placeholders among them, are left out.</summary>
    /// <param name="skipSpecial">Leave out tokens that the file marks as special.</param>
    public string Decode(ReadOnlySpan<long> ids, bool skipSpecial) => _decoder.Decode(ids, skipSpecial);

    private void EncodePiece(ReadOnlySpan<char> piece, List<long> ids)
    {
        if (piece.Length > 0) _model.Encode(_normalizer.Apply(piece.ToString()), ids);
    }
}
