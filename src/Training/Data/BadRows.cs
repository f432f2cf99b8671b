using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <param name="Problems">Every reason, each with the row's place.</param>
internal sealed record BadRow(int Index, IReadOnlyList<string> Problems);

/// <summary>Rows that cannot be used.</summary>
/// <param name="RowCount">Rows that were looked at.</param>
/// <param name="Rows">Ascending.</param>
/// <param name="Explained">The first of them, or all, with their reasons.</param>
/// <param name="Remarks">On the good rows.</param>
internal sealed record BadRows(int RowCount, IReadOnlyList<int> Rows, IReadOnlyList<BadRow> Explained, RowRemarks Remarks)
{
    private const int MostExplained = 20;
    private const int MostShown = 3; // rows: what is wrong with the others is the same, as a rule
    private const int OneIn = 100; // rows of which one may be skipped

    /// <summary>Every reason of every row, or of the first when there are so many that it does not matter.</summary>
    public IReadOnlyList<string> Problems { get; } = [.. Explained.SelectMany(row => row.Problems)];

    /// <summary>Every row's id, bad or good, from the first that was looked at; empty where a row could not be read.</summary>
    public IReadOnlyList<string> Ids { get; init; } = [];

    /// <param name="check">What is looked at besides texts, structure and whether images are there.</param>
    /// <param name="progress">Rows done; called from several threads.</param>
    /// <exception cref="InputException">A file is damaged.</exception>
    public static BadRows Find(
        IDatasetReader reader, int first, int end, RowCheck? check, CancellationToken stop, Action<int>? progress = null) => RowScan.Run(
            reader, first, end, check?.Problems ?? (_ => []), Math.Max(MostExplained, (end - first) / OneIn), progress ?? (_ => { }), stop);

    /// <param name="onBadSample">fail | skip.</param>
    /// <param name="where">What the rows are called.</param>
    /// <exception cref="InputException">There are too many.</exception>
    public void Check(string onBadSample, string where)
    {
        var skip = onBadSample == "skip";
        if (Rows.Count == 0 || (skip && (long)Rows.Count * OneIn <= RowCount)) return;
        var shown = Explained.Take(MostShown).SelectMany(row => row.Problems).Take(Shown.MostLines - 1);
        var others = Rows.Count > MostShown ? $", the {MostShown} above and {Rows.Count - MostShown} more (phi3v inspect lists them)" : "";
        throw new InputException([.. shown, $"{where}: {Rows.Count} of {RowCount} rows are bad{others}; "
            + (skip ? "data.onBadSample skips 1 % of them at most, mend the others."
                : "mend them, or set data.onBadSample to skip if they are few.")]);
    }
}
