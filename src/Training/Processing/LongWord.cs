using System.Runtime.CompilerServices;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// A word of many symbols as a linked list over arrays, its pairs in a binary heap: n log n, so text without a single space stays cheap.
/// </summary>
internal ref struct LongWord
{
    private const int End = -1;

    private readonly MergeTable _table;
    private readonly Span<int> _symbols;
    private readonly int[] _previous, _next;
    private readonly ulong[] _pairs; // of each symbol with the next
    // Rank above position: the lowest rank first, the leftmost among equals. An entry whose pair is gone stays until it comes up.
    private readonly ulong[] _heap;
    private int _heapCount;

    public LongWord(MergeTable table, Span<int> symbols)
    {
        var count = symbols.Length;
        _table = table;
        _symbols = symbols;
        (_previous, _next, _pairs) = (new int[count], new int[count], new ulong[count]);
        _heap = new ulong[3 * count]; // a merge takes one symbol away and offers two pairs
        for (var i = 0; i < count; i++)
        {
            (_previous[i], _next[i]) = (i - 1, i + 1 < count ? i + 1 : End);
            _pairs[i] = i + 1 < count ? table.Find(symbols[i], symbols[i + 1]) : MergeTable.None;
            if (_pairs[i] != MergeTable.None) _heap[_heapCount++] = Entry(i);
        }
        for (var i = _heapCount / 2 - 1; i >= 0; i--) SiftDown(i, _heap[i]);
    }

    /// <returns>How many symbols are left, at the beginning of the span.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int MergeAll()
    {
        while (_heapCount > 0)
        {
            var entry = _heap[0];
            var last = _heap[--_heapCount];
            if (_heapCount > 0) SiftDown(0, last);
            var left = (int)(uint)entry;
            if (_pairs[left] >> 32 != entry >> 32) continue; // another merge took one of the two
            var right = _next[left];
            _symbols[left] = (int)(uint)_pairs[left];
            _pairs[right] = MergeTable.None;
            _next[left] = _next[right];
            if (_next[left] != End) _previous[_next[left]] = left;
            Offer(left);
            if (_previous[left] != End) Offer(_previous[left]);
        }
        return Gather();
    }

    private readonly int Gather()
    {
        var count = 0;
        for (var i = 0; i != End; i = _next[i]) _symbols[count++] = _symbols[i];
        return count;
    }

    private void Offer(int left)
    {
        _pairs[left] = _next[left] == End ? MergeTable.None : _table.Find(_symbols[left], _symbols[_next[left]]);
        if (_pairs[left] != MergeTable.None) SiftUp(_heapCount++, Entry(left));
    }

    private readonly ulong Entry(int position) => (_pairs[position] >> 32 << 32) | (uint)position;

    private readonly void SiftUp(int at, ulong entry)
    {
        for (; at > 0 && _heap[(at - 1) / 2] > entry; at = (at - 1) / 2) _heap[at] = _heap[(at - 1) / 2];
        _heap[at] = entry;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void SiftDown(int at, ulong entry)
    {
        for (var child = 2 * at + 1; child < _heapCount; child = 2 * at + 1)
        {
            if (child + 1 < _heapCount && _heap[child + 1] < _heap[child]) child++;
            if (_heap[child] >= entry) break;
            _heap[at] = _heap[child];
            at = child;
        }
        _heap[at] = entry;
    }
}
