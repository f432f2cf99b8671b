namespace Phi3VCluster.Training.Data;

/// <summary>Which rows are held out: the first of all files together, or such as the seed draws.</summary>
/// <param name="Count">How many.</param>
internal sealed record HeldOut(int Count, bool IsDrawn, int Seed)
{
    /// <summary>The rows with the held-out ones first, both parts in the order of the files. The result owns the reader.</summary>
    public IDatasetReader Order(IDatasetReader rows)
    {
        if (!IsDrawn || Count == 0 || Count >= rows.Count) return rows;
        var order = Enumerable.Range(0, rows.Count).ToArray();
        SplitMix64.For("split", Seed, epoch: 0).Shuffle<int>(order);
        Array.Sort(order, 0, Count);
        Array.Sort(order, Count, order.Length - Count);
        return new Reordered(rows, order);
    }

    private sealed class Reordered(IDatasetReader rows, int[] order) : IDatasetReader
    {
        public int Count => rows.Count;

        public Sample Read(int index) => rows.Read(order[index]);

        public RowPlace Place(int index) => rows.Place(order[index]);

        public void Dispose() => rows.Dispose();
    }
}
