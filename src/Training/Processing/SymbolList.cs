namespace Phi3VCluster.Training.Processing;

/// <summary>
/// A word's symbols as a linked list over one array, merged in place; a symbol that went into its left neighbour is −1 afterwards.
/// n log n in the word's length, so text without a single space stays cheap.
/// </summary>
internal readonly ref struct SymbolList
{
    private const int Gone = -1, None = -1;

    private readonly List<int> _ids;
    private readonly int[] _previous, _next;
    private readonly Dictionary<ulong, Merge> _merges;
    // Ordered by (rank, position): the lowest rank first, the leftmost among equals.
    private readonly PriorityQueue<(int Position, int Id), ulong> _queue = new();

    public SymbolList(List<int> ids, Dictionary<ulong, Merge> merges)
    {
        (_ids, _merges) = (ids, merges);
        (_previous, _next) = (new int[ids.Count], new int[ids.Count]);
        for (var i = 0; i < ids.Count; i++)
            (_previous[i], _next[i]) = (i - 1, i + 1 < ids.Count ? i + 1 : None);
        for (var i = 0; i < ids.Count; i++) Offer(i);
    }

    public void MergeAll()
    {
        while (_queue.TryDequeue(out var candidate, out _))
        {
            var left = candidate.Position;
            // The neighbours may have changed since this pair was queued.
            if (!TryPair(left, out var merge) || merge.Id != candidate.Id) continue;
            var right = _next[left];
            _ids[left] = merge.Id;
            _ids[right] = Gone;
            _next[left] = _next[right];
            if (_next[left] != None) _previous[_next[left]] = left;
            if (_previous[left] != None) Offer(_previous[left]);
            Offer(left);
        }
    }

    private void Offer(int left)
    {
        if (TryPair(left, out var merge)) _queue.Enqueue((left, merge.Id), ((ulong)(uint)merge.Rank << 32) | (uint)left);
    }

    private bool TryPair(int left, out Merge merge)
    {
        merge = default;
        return _ids[left] != Gone && _next[left] != None && _merges.TryGetValue(Merge.Key(_ids[left], _ids[_next[left]]), out merge);
    }
}
