using Phi3VCluster.Client.App;
using Spectre.Console;

namespace Phi3VCluster.Client.Views;

/// <param name="Header">Of the column.</param>
/// <param name="Rank">0 is always shown; where room is short, columns go from the highest rank on.</param>
/// <param name="Folds">Sentences may be broken over lines; names, numbers and dates never are.</param>
internal sealed record Column(string Header, int Rank = 0, bool Folds = false);

/// <summary>
/// Tables that fit: names are never broken, since a broken one cannot be copied; columns of less weight are left out instead. In a file or
/// a pipe a row is a line, without frames.
/// </summary>
internal static class Tables
{
    private const int Narrowest = 24, Frame = 3;

    public static void Write(Output output, IReadOnlyList<Column> columns, IEnumerable<IReadOnlyList<string>> rows)
    {
        var all = rows.ToList();
        int[] used = [.. Enumerable.Range(0, columns.Count).Where(i => columns[i].Rank == 0 || all.Any(row => row[i].Length > 0))];
        if (used.Length < columns.Count)
        {
            Write(output, [.. used.Select(i => columns[i])], all.Select(row => (IReadOnlyList<string>)[.. used.Select(i => row[i])]));
            return;
        }
        if (Console.IsOutputRedirected || output.Json) WritePlain(output, columns, all);
        else output.Screen.Write(Framed(columns, all, output.Width));
    }

    private static void WritePlain(Output output, IReadOnlyList<Column> columns, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        string[][] lines =
        [
            [.. columns.Select(c => c.Header)],
            .. rows.Select(row => (string[])[.. row.Select(cell => cell.ReplaceLineEndings("; "))]),
        ];
        int[] widths = [.. columns.Select((_, i) => lines.Max(line => line[i].Length))];
        foreach (var line in lines) output.Line(string.Join("  ", line.Select((cell, i) => cell.PadRight(widths[i]))).TrimEnd());
    }

    private static Table Framed(IReadOnlyList<Column> columns, IReadOnlyList<IReadOnlyList<string>> rows, int room)
    {
        var shown = Enumerable.Range(0, columns.Count).ToList();
        while (shown.Sum(Needed) + 1 > room && shown.MaxBy(i => columns[i].Rank) is var least && columns[least].Rank > 0)
            shown.Remove(least);
        var table = new Table();
        foreach (var i in shown)
            table.AddColumn(new TableColumn(Markup.Escape(columns[i].Header)) { NoWrap = !columns[i].Folds });
        foreach (var row in rows) table.AddRow(shown.Select(i => Markup.Escape(row[i])).ToArray());
        return table;

        int Needed(int i)
        {
            var widest = rows.Select(row => row[i].Length).Append(columns[i].Header.Length).Max();
            return Frame + (columns[i].Folds ? Math.Min(widest, Narrowest) : widest);
        }
    }
}
