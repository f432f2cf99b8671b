using System.Diagnostics;
using Phi3VCluster.Bench.Data;
using Phi3VCluster.Bench.Processor;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Processing;

namespace Phi3VCluster.Bench.Pipeline;

/// <summary>
/// A rank's data from parquet to encoded samples, taken as fast as they come: what the readers can do, beside the image processor alone on
/// as many threads, before and after.
/// </summary>
internal sealed class PipelineBenchmark : IBenchmark
{
    private const int Pages = 2000, DistinctPages = 40, GroupRows = 100, Batch = 8, NumCrops = 16, MaxTokens = 131_072;
    private static readonly int[] WorkerCounts = [1, 2];

    public string Name => "pipeline";

    public string Description =>
        $"a parquet file of {Pages} JPEG pages {ScannedPage.Width}×{ScannedPage.Height}, from file to encoded samples, 1 and 2 workers";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        LibTorch.Load();
        var folder = Directory.CreateTempSubdirectory("phi3v-bench-").FullName;
        try
        {
            byte[][] pages = [.. Enumerable.Range(1, DistinctPages).Select(seed => ScannedPage.Draw((ulong)seed))];
            var file = Path.Combine(folder, "pages.parquet");
            PageFile.Write(file, Pages, GroupRows, row => pages[row % DistinctPages]);
            TinyCheckpoint.Create(Path.Combine(folder, "model"), seed: 1);
            var encoder = new SampleEncoder(Training.Processing.Tokenizer.Load(Path.Combine(folder, "model")), NumCrops, MaxTokens);
            using var rows = DataSplit.OpenTraining(new DataSpec { Kind = "docvqa", Train = file });
            foreach (var workers in WorkerCounts)
            {
                var alone = Alone(pages, workers);
                var (speed, memory) = Through(rows, encoder, workers);
                var megabytes = string.Join(", ", memory.Select(bytes => $"{bytes / 1048576.0:f0}"));
                yield return new($"{workers} {(workers == 1 ? "worker" : "workers")}", speed, "pages/s")
                {
                    Peer = "image processor alone",
                    PeerMeasured = (alone + Alone(pages, workers)) / 2,
                    Note = $"resident after each fifth of the pages: {megabytes} MiB",
                };
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Pages a second of the processor on files that lie in memory.</summary>
    private static double Alone(byte[][] pages, int threads)
    {
        const int each = 5;
        var start = Stopwatch.GetTimestamp();
        Parallel.For(0, pages.Length * each, new() { MaxDegreeOfParallelism = threads },
            i => ImageEncoder.Encode(pages[i % pages.Length], NumCrops, "page"));
        return pages.Length * each / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static (double PagesPerSecond, List<long> Resident) Through(SplitRows rows, SampleEncoder encoder, int workers)
    {
        var order = new SampleOrder(rows.Count, Batch, seed: 1, shuffle: true);
        var memory = new List<long>();
        var start = Stopwatch.GetTimestamp();
        using var feed = new SampleFeed(order, epochs: 1, rank: 0, worldSize: 1,
            (epoch, index) => encoder.EncodeForTraining(rows.Read(index), 1, epoch), workers);
        for (var step = 0; step < order.StepsPerEpoch; step++)
        {
            feed.Take(new(0, step, Batch));
            if ((step + 1) % (order.StepsPerEpoch / 5) == 0) memory.Add(ProcessMemory.Resident());
        }
        return (rows.Count / Stopwatch.GetElapsedTime(start).TotalSeconds, memory);
    }
}
