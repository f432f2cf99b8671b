using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace Phi3VCluster.Bench;

/// <summary>Rows for people and for machines.</summary>
internal static class BenchReport
{
    private static readonly JsonSerializerOptions SnakeCase = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        WriteIndented = true,
    };

    /// <summary>One document on standard output.</summary>
    public static void WriteJson(IBenchmark benchmark, IEnumerable<BenchRow> rows) =>
        Console.WriteLine(JsonSerializer.Serialize(
            new { Benchmark = benchmark.Name, Cores = Environment.ProcessorCount, Rows = rows.ToList() }, SnakeCase));

    /// <summary>A table; while it is measured, each row on standard error: a benchmark of an hour may be interrupted.</summary>
    public static void WriteTable(IEnumerable<BenchRow> rows)
    {
        var table = new Table().AddColumns("case", "measured", "unit", "peer", "peer measured", "ratio", "note");
        foreach (var right in new[] { 1, 4, 5 }) table.Columns[right].RightAligned();
        foreach (var row in rows)
        {
            var cells = Cells(row);
            table.AddRow([.. cells.Select(Markup.Escape)]);
            Console.Error.WriteLine(string.Join("  ", cells.Where(cell => cell.Length > 0)));
        }
        AnsiConsole.Write(table);
    }

    private static string[] Cells(BenchRow row) =>
    [
        row.Case, Number(row.Measured), row.Unit, row.Peer ?? "", Number(row.PeerMeasured), Number(row.Ratio), row.Note ?? "",
    ];

    private static string Number(double? value) => value?.ToString("G3", CultureInfo.InvariantCulture) ?? "";
}
