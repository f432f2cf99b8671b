using System.Collections.Concurrent;
using System.Text;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// Byte-pair encoding of one normalised piece: characters, or their bytes where the vocabulary lacks them, joined pair by pair, the
/// lowest rank first and the leftmost among equals. Thread-safe.
/// </summary>
internal sealed class BytePairEncoder
{
    private const char WordMark = '▁';
    /// <summary>Bounds the cache: some 10 MB when it is full of common words. The longest are rules drawn with dashes or dots.</summary>
    private const int CachedWords = 1 << 16, CachedWordLength = 256;

    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _vocabulary;
    private readonly int[]? _byteIds;
    private readonly int? _unknownId;
    private readonly bool _fuseUnknown, _splitsAtWords;
    private readonly Dictionary<ulong, Merge> _merges;
    private readonly ConcurrentDictionary<string, int[]> _cache = new(StringComparer.Ordinal);
    // Counted apart: the dictionary's own Count takes all its locks.
    private int _cachedWords;

    public BytePairEncoder(TokenizerJson file)
    {
        _vocabulary = file.Vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        _merges = file.Merges;
        _byteIds = file.ByteIds;
        (_unknownId, _fuseUnknown) = (file.UnknownId, file.FuseUnknown);
        _splitsAtWords = file.MergesStayInWords;
    }

    public void Encode(string piece, List<long> ids)
    {
        if (!_splitsAtWords)
        {
            Append(EncodeWord(piece), ids);
            return;
        }
        for (var start = 0; start < piece.Length;)
        {
            var end = WordEnd(piece, start);
            Append(Cached(piece.AsSpan(start, end - start)), ids);
            start = end;
        }
    }

    /// <summary>A word is a run of marks and what follows up to the next mark: no merge joins across its ends.</summary>
    private static int WordEnd(string piece, int at)
    {
        while (at < piece.Length && piece[at] == WordMark) at++;
        var rest = piece.AsSpan(at).IndexOf(WordMark);
        return rest < 0 ? piece.Length : at + rest;
    }

    private int[] Cached(ReadOnlySpan<char> word)
    {
        if (word.Length > CachedWordLength) return EncodeWord(word);
        if (_cache.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(word, out var known)) return known;
        var ids = EncodeWord(word);
        if (_cachedWords < CachedWords && _cache.TryAdd(word.ToString(), ids)) Interlocked.Increment(ref _cachedWords);
        return ids;
    }

    private static void Append(int[] word, List<long> ids)
    {
        foreach (var id in word) ids.Add(id);
    }

    private int[] EncodeWord(ReadOnlySpan<char> word)
    {
        var symbols = Symbols(word);
        if (symbols.Count > 1) new SymbolList(symbols, _merges).MergeAll();
        symbols.RemoveAll(id => id < 0);
        return [.. symbols];
    }

    private List<int> Symbols(ReadOnlySpan<char> word)
    {
        var symbols = new List<int>(word.Length);
        var afterUnknown = false;
        Span<char> spelled = stackalloc char[2];
        Span<byte> bytes = stackalloc byte[4];
        foreach (var rune in word.EnumerateRunes())
        {
            if (_vocabulary.TryGetValue(spelled[..rune.EncodeToUtf16(spelled)], out var id))
            {
                symbols.Add(id);
                afterUnknown = false;
            }
            else if (_byteIds is { } byteIds)
            {
                foreach (var one in bytes[..rune.EncodeToUtf8(bytes)]) symbols.Add(byteIds[one]);
                afterUnknown = false;
            }
            else if (_unknownId is { } unknown)
            {
                if (!(afterUnknown && _fuseUnknown)) symbols.Add(unknown);
                afterUnknown = true;
            }
        }
        return symbols;
    }
}

/// <summary>What a pair of tokens becomes, and how early.</summary>
internal readonly record struct Merge(int Rank, int Id)
{
    public static ulong Key(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;
}
