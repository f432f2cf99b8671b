namespace Phi3VCluster.Training.Processing;

/// <summary>
/// Words met lately and their ids: one place a hash, the newest word in it. Bounded at some 10 MB when full of common words, and without
/// locks: an entry never changes, so a reader sees a whole one or none.
/// </summary>
internal sealed class WordCache
{
    private const int SlotCount = 1 << 16;

    private readonly Entry?[] _slots = new Entry?[SlotCount];

    public int[]? Find(ReadOnlySpan<char> word, out int slot)
    {
        slot = Slot(word);
        return _slots[slot] is { } entry && word.SequenceEqual(entry.Word) ? entry.Ids : null;
    }

    public void Keep(int slot, ReadOnlySpan<char> word, int[] ids) => _slots[slot] = new(word.ToString(), ids);

    private static int Slot(ReadOnlySpan<char> word)
    {
        var hash = (uint)word.Length;
        foreach (var letter in word) hash = (hash ^ letter) * 0x01000193; // FNV-1a
        return (int)((hash ^ (hash >> 16)) & (SlotCount - 1));
    }

    private sealed class Entry(string word, int[] ids)
    {
        public readonly string Word = word;
        public readonly int[] Ids = ids;
    }
}
