using Phi3VCluster.Samples;

namespace Phi3VCluster.Bench.Memory;

/// <summary>
/// Trains the quickstart's model through the CLI and watches the silo process. A step that kept anything would show as a slope.
/// </summary>
internal sealed class MemoryBenchmark : IBenchmark
{
    private const int WarmUpSteps = 100, Steps = 600;

    public string Name => "memory";

    public string Description => $"resident memory of a silo over {Steps} training steps: must not grow";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        var folder = Directory.CreateTempSubdirectory("phi3v-bench-memory");
        try
        {
            var readings = SiloWatch.Train(Spec(folder.FullName), folder.FullName);
            var settled = readings.Where(reading => reading.Step >= WarmUpSteps).ToList();
            yield return new($"at step {settled[0].Step}", settled[0].ResidentMegabytes, "MB");
            yield return new($"at step {settled[^1].Step}", settled[^1].ResidentMegabytes, "MB");
            yield return new($"growth from step {settled[0].Step} on", Slope(settled), "MB/step")
            {
                Note = "least squares; to stay below 0.1",
            };
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>Two ranks, 8 samples a step, as the quickstart has them; a sixth of its pages, so that epochs end while we watch.</summary>
    private static string Spec(string folder)
    {
        const int pages = 128, batch = 8;
        var files = QuickstartFiles.Create(Path.Combine(folder, "sample"), seed: 1, new SampleSizes(pages, EvalPages: 16));
        var path = Path.Combine(folder, "spec.yaml");
        File.WriteAllText(path, $$"""
            name: memory
            model: { path: {{files.Checkpoint}}, numCrops: 1 }
            method: { kind: full }
            data: { kind: conversations, train: {{files.Train}}, eval: {{files.Eval}}, shuffleTurns: true }
            batch: { global: {{batch}} }
            epochs: {{Steps * batch / pages + 1}}
            optimizer: { learningRate: 1.0e-3, warmupSteps: 20 }
            evaluation: { maxNewTokens: 8 }
            cluster: { minRanks: 2, maxRanks: 2, device: cpu }
            output: {{folder}}
            """);
        return path;
    }

    /// <summary>Least-squares slope of resident memory over steps.</summary>
    private static double Slope(IReadOnlyList<Reading> readings)
    {
        var (step, memory) = (readings.Average(r => (double)r.Step), readings.Average(r => r.ResidentMegabytes));
        return readings.Sum(r => (r.Step - step) * (r.ResidentMegabytes - memory)) / readings.Sum(r => (r.Step - step) * (r.Step - step));
    }
}

/// <summary>What the silo held after a step.</summary>
internal readonly record struct Reading(int Step, double ResidentMegabytes);
