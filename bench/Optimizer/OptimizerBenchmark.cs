using Phi3VCluster.Spec;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using TorchSharp;
using static TorchSharp.torch;
using Parameter = TorchSharp.Modules.Parameter;

namespace Phi3VCluster.Bench.Optimizer;

/// <summary>One AdamW step on flat parameters, beside TorchSharp's on as many tensors. One thread, float32.</summary>
internal sealed class OptimizerBenchmark : IBenchmark
{
    private const int Tensors = 40, Rows = 500, Columns = 500, WarmUps = 3, Repetitions = 15;
    private const double LearningRate = 1e-3;

    public string Name => "optimizer";

    public string Description => "AdamW step and gradient norm on 10 M parameters, 1 thread; beside TorchSharp's";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        LibTorch.Load();
        set_num_threads(1);
        var entries = Enumerable.Range(0, Tensors).Select(i => new FlatEntry(new($"{i}.weight", [Rows, Columns]), Decays: true));
        using var parameters = new FlatParameters([.. entries], CPU);
        using var gradients = WholeGradients.Sharded(parameters, ShardLayout.Whole(parameters.Count, 0, 1), (_, _) => DoneSum.Instance);
        using (no_grad())
        {
            parameters.Values.normal_();
            foreach (var entry in parameters.Entries) parameters[entry.Tensor.Name].grad!.normal_();
        }
        using var state = new OptimizerState(parameters, gradients.Layout);
        using var optimizer = new AdamW(parameters, gradients, state, new OptimizerSpec());
        var peer = options.Peers ? new Peer() : null;

        yield return Row("AdamW step", Timing.Median(WarmUps, Repetitions, () => optimizer.Step(LearningRate)), peer?.Step());
        yield return Row("gradient norm and clip", Timing.Median(WarmUps, Repetitions, () => Clip(gradients)), peer?.Clip());
    }

    private static void Clip(GradientStore gradients) =>
        GradientNorm.Scale(gradients, GradientNorm.ClipFactor(maxNorm: 1, Math.Sqrt(GradientNorm.SquareSum(gradients))));

    private static BenchRow Row(string what, double seconds, double? peerSeconds) =>
        new($"{what}, {Tensors * Rows * Columns / 1_000_000} M parameters", seconds * 1e3, "ms")
        {
            Peer = peerSeconds is null ? null : "TorchSharp",
            PeerMeasured = peerSeconds * 1e3,
        };

    private sealed class Peer
    {
        private readonly Parameter[] _parameters = [.. Enumerable.Range(0, Tensors).Select(_ => new Parameter(randn(Rows, Columns)))];

        public Peer()
        {
            foreach (var parameter in _parameters) parameter.grad = randn(Rows, Columns);
        }

        public double Step()
        {
            using var optimizer = optim.AdamW(_parameters, LearningRate, beta1: 0.9, beta2: 0.95, eps: 1e-7, weight_decay: 0.01);
            return Timing.Median(WarmUps, Repetitions, () =>
            {
                using var scope = NewDisposeScope();
                optimizer.step();
            });
        }

        public double Clip() => Timing.Median(WarmUps, Repetitions, () => nn.utils.clip_grad_norm_(_parameters, 1));
    }
}
