using Phi3VCluster.Training.Model.Quantization;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Quantization;

/// <summary>A weight to NF4 and back, beside the way back by torch's own operations. One thread, double quantisation.</summary>
internal sealed class Nf4Benchmark : IBenchmark
{
    private const int Rows = 16384, Columns = 3072, WarmUps = 1, Repetitions = 7;
    private const double Million = 1e6;

    public string Name => "nf4";

    public string Description => "a [16384, 3072] weight to NF4 and back, 1 thread; beside torch's operations";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        LibTorch.Load();
        set_num_threads(1);
        using var scope = NewDisposeScope();
        var weight = randn(Rows, Columns);
        foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            var source = weight.to_type(type);
            yield return Row($"from {type}", Timing.Median(WarmUps, Repetitions, () => Nf4Tensor.Quantize(source, true, CPU).Dispose()));
        }
        using var stored = Nf4Tensor.Quantize(weight, doubleQuantization: true, CPU);
        using var torch = new Nf4Torch(CPU);
        foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            var restored = zeros(stored.Shape, type);
            double? peer = !options.Peers ? null
                : Timing.Median(WarmUps, Repetitions, () => torch.Dequantize(stored.Packed, stored.Scales, restored.view(-1)));
            yield return Row($"to {type}", Timing.Median(WarmUps, Repetitions, () => stored.DequantizeTo(restored)), peer);
            yield return Row($"to a new {type}", Timing.Median(WarmUps, Repetitions, () => stored.Dequantize(type).Dispose()));
        }
    }

    private static BenchRow Row(string what, double seconds, double? peerSeconds = null) =>
        new(what, Rows * Columns / seconds / Million, "M/s")
        {
            Peer = peerSeconds is null ? null : "torch operations",
            PeerMeasured = Rows * Columns / peerSeconds / Million,
        };
}
