using System.Text.Json;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;

namespace Phi3VCluster.Bench.Gpu.Checks;

/// <summary>
/// Whole runs of a small model, as a silo would start them, on the CPU in float32 and on the GPU in every precision: the losses of all
/// steps must agree.
/// </summary>
internal sealed class TrainingCheck : IGpuCheck
{
    private const int Pages = 12, Batch = 4;

    public string Name => "training";

    public int Order => 5;

    public IEnumerable<GpuRow> Run()
    {
        var folder = Directory.CreateTempSubdirectory("phi3v-gpu-training").FullName;
        try
        {
            var sizes = new TinySizes(Hidden: 256, Intermediate: 256, Layers: 3, Heads: 4, KeyValueHeads: 2,
                TowerHidden: 256, TowerIntermediate: 256, TowerHeads: 4);
            var files = QuickstartFiles.Create(Path.Combine(folder, "files"), seed: 1, new(Pages, EvalPages: 4, sizes));
            foreach (var method in (string[])["full", "frozen-vision", "lora", "qlora"])
            {
                var host = Losses(Spec(files, method, "fp32", "cpu"), Path.Combine(folder, $"{method}-cpu"));
                var hasFp8 = method != "qlora" && Cuda.Capability(0).Major >= CudaKernels.LeastFp8Capability;
                var ways = ((string, double)[])[("fp32", 1e-4), ("bf16", 5e-2), ("fp16", 2e-2), ("fp8", 0.1)];
                foreach (var (precision, most) in hasFp8 ? ways : ways[..3])
                {
                    var device = Losses(Spec(files, method, precision, "cuda"), Path.Combine(folder, $"{method}-{precision}"));
                    // In fp16 the first steps may be skipped until the loss scale fits: from then on the runs differ.
                    var compared = precision == "fp16" ? 1 : host.Count;
                    var worst = host.Take(compared).Zip(device, (a, b) => Math.Abs(a - b) / Math.Abs(a)).Max();
                    yield return new($"{method} in {precision}", device.Count == host.Count && worst <= most,
                        FormattableString.Invariant($"{device.Count} losses, {device[0]:f4} to {device[^1]:f4}; ")
                        + FormattableString.Invariant($"at most {worst:0.0e+0} from the CPU's, {most:0e+0} allowed"));
                }
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static RunSpec Spec(QuickstartFiles files, string method, string precision, string device) => new()
    {
        Model = new() { Path = files.Checkpoint, NumCrops = 1 },
        Method = new() { Kind = method, Rank = 4, Alpha = 8 },
        Precision = precision == "fp8" ? "bf16" : precision,
        Fp8 = precision == "fp8",
        Data = new() { Train = files.Train, Eval = method == "lora" ? files.Eval : null },
        Batch = new() { Global = Batch },
        Optimizer = new() { LearningRate = 1e-3, Schedule = "constant", WarmupSteps = 0 },
        Cluster = new() { Device = device },
        Epochs = 2,
    };

    private static List<double> Losses(RunSpec spec, string output)
    {
        SeatRun.Finish(spec, output);
        return [.. File.ReadLines(Path.Combine(output, "steps.jsonl"))
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("loss").GetDouble())];
    }
}
