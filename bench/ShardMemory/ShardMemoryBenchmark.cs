using Phi3VCluster.Spec;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.ShardMemory;

/// <summary>
/// What a rank holds for each trained parameter: resident memory before and after values, gradients, masters and moments were
/// made and written to, beside the arithmetic of docs/numerics.md.
/// </summary>
internal sealed class ShardMemoryBenchmark : IBenchmark
{
    private const int Units = 16;
    private const long UnitElements = 4 << 20; // 64 M parameters: buffers large enough to be mapped and unmapped by themselves

    public string Name => "shard-memory";

    public string Description => "bytes a trained parameter on rank 0 of 1, 2 and 4, by precision and reduceEvery; beside the arithmetic";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        LibTorch.Load();
        Measure(ScalarType.Float32, scattered: false, worldSize: 1); // what is loaded and allocated once
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
            foreach (var scattered in (bool[])[false, true])
                foreach (var worldSize in (int[])[1, 2, 4])
                {
                    var expected = Expected(type, scattered, worldSize);
                    var measured = Measure(type, scattered, worldSize);
                    var precision = type == ScalarType.Float32 ? "fp32" : "bf16";
                    yield return new($"{precision}, {(scattered ? "micro" : "step")}, {worldSize} ranks", measured, "B")
                    {
                        Peer = "arithmetic",
                        PeerMeasured = expected,
                        Note = FormattableString.Invariant($"{(measured / expected - 1) * 100:0.0} % off"),
                    };
                }
    }

    /// <summary>The table of docs/numerics.md.</summary>
    private static double Expected(ScalarType type, bool scattered, int worldSize)
    {
        double values = type == ScalarType.Float32 ? 4 : 2, masters = type == ScalarType.Float32 ? 0 : 4;
        var gradients = scattered ? 4.0 / worldSize + 4.0 / Units : 4;
        return values + gradients + (masters + 8) / worldSize;
    }

    private static double Measure(ScalarType type, bool scattered, int worldSize)
    {
        FlatEntry[] entries = [.. Enumerable.Range(0, Units)
            .Select(i => new FlatEntry(new($"{i}.weight", [UnitElements]), Decays: true) { Unit = $"{i}" })];
        var before = ResidentBytes();
        using var parameters = new FlatParameters(entries, CPU, type);
        var buckets = scattered ? parameters.Units().Select(unit => unit.Range) : [new(0, parameters.Count)];
        var layout = new ShardLayout([.. buckets], rank: 0, worldSize);
        using GradientStore gradients = scattered
            ? new ScatteredGradients(parameters, layout, (_, _) => DoneSum.Instance)
            : WholeGradients.Sharded(parameters, layout, (_, _) => DoneSum.Instance);
        using var state = new OptimizerState(parameters, gradients.Layout);
        using var optimizer = new AdamW(parameters, gradients, state, new OptimizerSpec());
        using (no_grad()) parameters.Values.fill_(1);
        gradients.Zero();
        foreach (var unit in entries.Reverse())
        {
            using (no_grad()) parameters[unit.Tensor.Name].grad!.fill_(1); // as backward would
            gradients.UnitDone(unit.Unit);
        }
        gradients.PassDone();
        gradients.StepDone();
        optimizer.Step(1e-3);
        return (double)(ResidentBytes() - before) / parameters.Count;
    }

    private static long ResidentBytes()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1]) * Environment.SystemPageSize;
    }
}
