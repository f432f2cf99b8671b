using System.Runtime.CompilerServices;
using System.Text;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// Byte-pair encoding of one normalised piece: characters, or their bytes where the vocabulary lacks them, joined pair by pair, the
/// lowest rank first and the leftmost among equals. Thread-safe.
/// </summary>
internal sealed class BytePairEncoder
{
    private const char WordMark = '▁';
    /// <summary>The longest are rules drawn with dashes or dots.</summary>
    private const int CachedWordLength = 256;
    /// <summary>Of one UTF-16 unit: the bytes of a character that the vocabulary lacks.</summary>
    private const int MostSymbols = 3;
    private const int None = -1;

    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _vocabulary;
    private readonly int[] _idOfChar = new int[1 << 16];
    private readonly int[]? _byteIds;
    private readonly int? _unknownId;
    private readonly bool _fuseUnknown, _splitsAtWords;
    private readonly MergeTable _merges;
    private readonly WordCache _cache = new();

    public BytePairEncoder(TokenizerJson file)
    {
        _vocabulary = file.Vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        Array.Fill(_idOfChar, None);
        foreach (var (token, id) in file.Vocabulary)
            if (token.Length == 1) _idOfChar[token[0]] = id;
        _merges = new(file.Merges);
        _byteIds = file.ByteIds;
        (_unknownId, _fuseUnknown) = (file.UnknownId, file.FuseUnknown);
        _splitsAtWords = file.MergesStayInWords;
    }

    // Compiled well at once, as all of the loops below: most texts are over before tiered compilation has noticed that they matter.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Encode(string piece, List<long> ids)
    {
        Span<int> symbols = stackalloc int[CachedWordLength * MostSymbols];
        for (var start = 0; start < piece.Length;)
        {
            var end = _splitsAtWords ? WordEnd(piece, start) : piece.Length;
            var word = piece.AsSpan(start, end - start);
            start = end;
            if (word.Length > CachedWordLength)
            {
                Append(Merged(word, new int[word.Length * MostSymbols]), ids);
                continue;
            }
            var known = _cache.Find(word, out var slot);
            if (known is null) _cache.Keep(slot, word, known = Merged(word, symbols).ToArray());
            Append(known, ids);
        }
    }

    /// <summary>A word is a run of marks and what follows up to the next mark: no merge joins across its ends.</summary>
    private static int WordEnd(string piece, int at)
    {
        while (at < piece.Length && piece[at] == WordMark) at++;
        var rest = piece.AsSpan(at).IndexOf(WordMark);
        return rest < 0 ? piece.Length : at + rest;
    }

    private static void Append(ReadOnlySpan<int> word, List<long> ids)
    {
        foreach (var id in word) ids.Add(id);
    }

    private ReadOnlySpan<int> Merged(ReadOnlySpan<char> word, Span<int> symbols) =>
        symbols[.._merges.MergeAll(symbols[..Spell(word, symbols)])];

    /// <returns>How many symbols the word has.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int Spell(ReadOnlySpan<char> word, Span<int> symbols)
    {
        var (count, afterUnknown) = (0, false);
        for (var at = 0; at < word.Length;)
        {
            var id = _idOfChar[word[at]];
            if (id == None || char.IsSurrogate(word[at]))
            {
                Rune.DecodeFromUtf16(word[at..], out var rune, out var length);
                at += length;
                count = SpellRare(rune, symbols, count, ref afterUnknown);
                continue;
            }
            symbols[count++] = id;
            afterUnknown = false;
            at++;
        }
        return count;
    }

    private int SpellRare(Rune rune, Span<int> symbols, int count, ref bool afterUnknown)
    {
        Span<char> spelled = stackalloc char[2];
        Span<byte> bytes = stackalloc byte[4];
        var isUnknown = false;
        if (_vocabulary.TryGetValue(spelled[..rune.EncodeToUtf16(spelled)], out var id)) symbols[count++] = id;
        else if (_byteIds is { } byteIds)
        {
            foreach (var one in bytes[..rune.EncodeToUtf8(bytes)]) symbols[count++] = byteIds[one];
        }
        else if (_unknownId is { } unknown)
        {
            if (!(afterUnknown && _fuseUnknown)) symbols[count++] = unknown;
            isUnknown = true;
        }
        else return count;
        afterUnknown = isUnknown;
        return count;
    }
}
