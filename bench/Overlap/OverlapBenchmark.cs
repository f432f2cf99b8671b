using System.Diagnostics;
using System.Globalization;
using Phi3VCluster.Bench.Step;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Bench.Overlap;

/// <summary>What of a step's communication nothing hides, over links as slow as a cluster's would be for a larger model.</summary>
internal sealed class OverlapBenchmark : IBenchmark
{
    private const int Ranks = 2, Megabits = 200;

    private static readonly OverlapCase[] Cases =
    [
        new("lora", "fp32", IsBeside: true), new("lora", "bf16", IsBeside: true), new("full", "fp32", IsBeside: true),
        new("full", "bf16", IsBeside: true),
    ];

    public string Name => "overlap";

    public string Description =>
        $"a step of {Ranks} ranks over {Megabits} Mbit/s links: sums during backward, in float32 and bf16; beside those after it (root)";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        LibTorch.Load();
        var folder = Directory.CreateTempSubdirectory("phi3v-bench-overlap");
        try
        {
            StepFiles.Create(folder.FullName, new(), samples: 1);
            using var nodes = new ShapedNodes(Ranks, Megabits);
            foreach (var of in Cases.GroupBy(one => one.Method))
            {
                var after = Measure(nodes, folder.FullName, new(of.Key, "fp32", IsBeside: false));
                foreach (var one in of)
                {
                    var beside = Measure(nodes, folder.FullName, one);
                    yield return Row($"{one.Label}: waits for sums", beside.Exposed, after.Exposed);
                    yield return Row($"{one.Label}: step", beside.Seconds, after.Seconds) with
                    {
                        Note = string.Create(
                            CultureInfo.InvariantCulture, $"loss after four steps {beside.Loss:F6}, after {after.Loss:F6}"),
                    };
                }
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static BenchRow Row(string label, double measured, double after) =>
        new(label, measured, "s") { Peer = "fp32, after", PeerMeasured = after };

    /// <returns>Of rank 0, a step.</returns>
    private static (double Seconds, double Exposed, double Loss) Measure(ShapedNodes nodes, string folder, OverlapCase one)
    {
        var workers = Enumerable.Range(0, Ranks).Select(rank => Start(nodes, rank, folder, one)).ToArray();
        try
        {
            var addresses = string.Join(' ', workers.Select(ReadLine));
            for (var rank = 0; rank < Ranks; rank++)
                workers[rank].StandardInput.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{rank} {addresses}"));
            var numbers = workers.Select(ReadLine).ToList()[0].Split(' ')
                .Select(word => double.Parse(word, CultureInfo.InvariantCulture)).ToArray();
            return (numbers[0], numbers[1], numbers[2]);
        }
        finally
        {
            foreach (var worker in workers)
            {
                if (!worker.WaitForExit(TimeSpan.FromSeconds(10))) worker.Kill(entireProcessTree: true);
                worker.Dispose();
            }
        }
    }

    private static string ReadLine(Process worker) =>
        worker.StandardOutput.ReadLine() ?? throw new InvalidOperationException("a rank ended early; its reason is on stderr.");

    private static Process Start(ShapedNodes nodes, int rank, string folder, OverlapCase one)
    {
        var program = Environment.ProcessPath!;
        string[] self = Path.GetFileNameWithoutExtension(program) == "dotnet"
            ? [program, typeof(OverlapWorker).Assembly.Location]
            : [program];
        var command = nodes.Inside(rank,
            [.. self, OverlapWorker.Verb, folder, nodes.AddressOf(rank), one.Method, one.GradientType, one.IsBeside.ToString()]);
        return Process.Start(new ProcessStartInfo(command[0], command[1..])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
    }
}
