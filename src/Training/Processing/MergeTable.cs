using System.Numerics;
using System.Runtime.CompilerServices;

namespace Phi3VCluster.Training.Processing;

/// <summary>What a pair of tokens becomes, and how early.</summary>
internal readonly record struct Merge(int Rank, int Id)
{
    public static ulong Key(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;
}

/// <summary>
/// All merges by pair, in one open hash table of numbers, and the merging of a word's symbols. A merge is one number, its rank above its
/// id, so that the smaller number is the earlier merge.
/// </summary>
internal sealed class MergeTable
{
    public const ulong None = ulong.MaxValue;
    /// <summary>Up to here looking at every pair for the best beats keeping them in order.</summary>
    private const int ShortWord = 24;

    private readonly ulong[] _keys, _merges;
    private readonly int _shift;

    public MergeTable(Dictionary<ulong, Merge> merges)
    {
        var size = BitOperations.RoundUpToPowerOf2((uint)Math.Max(2 * merges.Count, 2)); // at most half full: probes are short
        _shift = 64 - BitOperations.Log2(size);
        (_keys, _merges) = (new ulong[size], new ulong[size]);
        Array.Fill(_keys, None);
        foreach (var (key, merge) in merges)
        {
            var slot = Slot(key);
            while (_keys[slot] != None) slot = (slot + 1) & (_keys.Length - 1);
            (_keys[slot], _merges[slot]) = (key, ((ulong)(uint)merge.Rank << 32) | (uint)merge.Id);
        }
    }

    /// <summary>The pair's merge, or <see cref="None"/>.</summary>
    public ulong Find(int left, int right)
    {
        var key = Merge.Key(left, right);
        for (var slot = Slot(key); ; slot = (slot + 1) & (_keys.Length - 1))
        {
            if (_keys[slot] == key) return _merges[slot];
            if (_keys[slot] == None) return None;
        }
    }

    /// <summary>Merges in place, the lowest rank first and the leftmost among equals.</summary>
    /// <returns>How many symbols are left.</returns>
    public int MergeAll(Span<int> symbols) => symbols.Length > ShortWord ? new LongWord(this, symbols).MergeAll() : MergeShort(symbols);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int MergeShort(Span<int> symbols)
    {
        Span<ulong> pairs = stackalloc ulong[ShortWord]; // of each symbol with the next
        var count = symbols.Length;
        for (var i = 0; i + 1 < count; i++) pairs[i] = Find(symbols[i], symbols[i + 1]);
        while (true)
        {
            var (best, at) = (None, 0);
            for (var i = 0; i + 1 < count; i++)
                if (pairs[i] < best) (best, at) = (pairs[i], i);
            if (best == None) return count;
            symbols[at] = (int)(uint)best;
            count--;
            for (var i = at + 1; i < count; i++) (symbols[i], pairs[i]) = (symbols[i + 1], pairs[i + 1]);
            if (at > 0) pairs[at - 1] = Find(symbols[at - 1], symbols[at]);
            if (at + 1 < count) pairs[at] = Find(symbols[at], symbols[at + 1]);
        }
    }

    private int Slot(ulong key) => (int)((key * 0x9E3779B97F4A7C15) >> _shift);
}
