using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Rows that cannot be used, found by reading each row once: texts and structure, whether images are there, but not whether they can be
/// decoded. A parquet row group is decoded for that, which the first epoch then need not do.
/// </summary>
/// <param name="Rows">Ascending.</param>
/// <param name="Problems">Every reason of every row, or of the first when there are so many that it does not matter.</param>
internal sealed record BadRows(int RowCount, IReadOnlyList<int> Rows, IReadOnlyList<string> Problems)
{
    private const int MostShown = 20;
    private const int OneIn = 100; // rows of which one may be skipped

    /// <exception cref="InputException">A file is damaged.</exception>
    public static BadRows Find(IDatasetReader reader, int first, int end, CancellationToken stop)
    {
        var (rows, problems) = (new List<int>(), new List<string>());
        for (var row = first; row < end; row++)
        {
            stop.ThrowIfCancellationRequested();
            try
            {
                reader.Read(row);
            }
            catch (BadRowException e)
            {
                rows.Add(row);
                if (rows.Count <= Math.Max(MostShown, (end - first) / OneIn)) problems.AddRange(e.Problems);
            }
        }
        return new(end - first, rows, problems);
    }

    /// <param name="onBadSample">fail | skip.</param>
    /// <param name="where">What the rows are called.</param>
    /// <exception cref="InputException">There are too many.</exception>
    public void Check(string onBadSample, string where)
    {
        var skip = onBadSample == "skip";
        if (Rows.Count == 0 || (skip && (long)Rows.Count * OneIn <= RowCount)) return;
        throw new InputException([.. Problems.Take(MostShown), $"{where}: {Rows.Count} of {RowCount} rows are bad; "
            + (skip ? "data.onBadSample skips 1 % of them at most, mend the others."
                : "mend them, or set data.onBadSample to skip if they are few.")]);
    }
}
