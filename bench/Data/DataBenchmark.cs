using System.Diagnostics;
using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Bench.Data;

/// <summary>A run's data: opening it, which reads every row once, and then its rows in random order.</summary>
internal sealed class DataBenchmark : IBenchmark
{
    private const int OwnRows = 200_000, ImageFiles = 1000, PageRows = 2000, GroupRows = 100, PageBytes = 300_000, Reads = 4000;

    public string Name => "data";

    public string Description => $"open {OwnRows} rows of own data and {PageRows} pages of {PageBytes} bytes in parquet, then random ones";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        var folder = Directory.CreateTempSubdirectory("phi3v-bench-").FullName;
        try
        {
            var own = WriteOwn(folder);
            foreach (var row in Measure("llava", own, OwnRows, "rows/s")) yield return row;
            var pages = Path.Combine(folder, "pages.parquet");
            var (page, noise) = (new byte[PageBytes], new Random(1)); // as JPEG files are to a compressor
            PageFile.Write(pages, PageRows, GroupRows, _ =>
            {
                noise.NextBytes(page);
                return page;
            });
            foreach (var row in Measure("docvqa", pages, PageRows * (PageBytes / 1e6), "MB/s")) yield return row;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static IEnumerable<BenchRow> Measure(string kind, string path, double amount, string unit)
    {
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var start = Stopwatch.GetTimestamp();
        using var rows = DataSplit.OpenTraining(new DataSpec { Kind = kind, Train = path });
        yield return new($"{kind}: open", amount / Stopwatch.GetElapsedTime(start).TotalSeconds, unit);
        var held = GC.GetTotalMemory(forceFullCollection: true) - before;
        yield return new($"{kind}: held in memory", held / (double)rows.Count, "bytes a row");
        var random = new SplitMix64(1);
        start = Stopwatch.GetTimestamp();
        for (var i = 0; i < Reads; i++) rows.Read(random.Below(rows.Count)).Turns[0].Images[0].Read();
        yield return new($"{kind}: a random row with its image", Stopwatch.GetElapsedTime(start).TotalMilliseconds / Reads, "ms");
    }

    private static string WriteOwn(string folder)
    {
        for (var i = 0; i < ImageFiles; i++) File.WriteAllBytes(Path.Combine(folder, $"{i}.jpg"), new byte[100]);
        var path = Path.Combine(folder, "own.json");
        using var file = File.Create(path);
        JsonSerializer.Serialize(file, Enumerable.Range(0, OwnRows).Select(i => new
        {
            id = $"{i}",
            image = $"{i % ImageFiles}.jpg",
            conversations = Enumerable.Range(0, 6).Select(turn => new
            {
                from = turn % 2 == 0 ? "human" : "gpt",
                value = turn == 0
                    ? "<image>\nWhat is this?"
                    : $"A text of middling length, as turns of such data are, turn {turn} of row {i}.",
            }),
        }));
        return path;
    }
}
