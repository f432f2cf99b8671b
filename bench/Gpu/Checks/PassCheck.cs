using System.Diagnostics;
using Phi3VCluster.Bench.Step;
using Phi3VCluster.Spec;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Engine.Jobs;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Gpu.Checks;

/// <summary>Where a pass of the released size spends its time: the decoder alone, the whole, the optimizer.</summary>
internal sealed class PassCheck : IGpuCheck
{
    private const int Tokens = 2560;

    public string Name => "pass";

    public int Order => 9;

    public IEnumerable<GpuRow> Run()
    {
        GpuTensors.Begin();
        PlannedAttention.Patience = 0; // while it warms up
        var spec = new RunSpec
        {
            Method = new() { Kind = "lora", Rank = 64, Alpha = 128 },
            Precision = "bf16",
            Model = new() { Path = "random weights", NumCrops = 16 },
        };
        var compute = RankCompute.Of(spec, cudaDevice: 0);
        using var model = TrainedModel.Load(spec, compute, new RandomWeights(RandomWeights.Released));
        using var gradients = WholeGradients.Sharded(
            model.Parameters, ShardLayout.Whole(model.Parameters.Count, 0, 1), (_, _) => DoneSum.Instance);
        using var state = new OptimizerState(model.Parameters, gradients.Layout);
        using var optimizer = new AdamW(model.Parameters, gradients, state, spec.Optimizer);
        var page = StepSamples.Make(1, RandomWeights.Released.VocabularySize, text: new(5, 34, 12))[0];
        long[] ids = [.. Enumerable.Range(0, Tokens).Select(i => 3L + i * 7919 % 32000)];
        var text = new ModelInput(ids, [.. ids.Select((id, i) => i >= Tokens - 12 ? id : ModelInput.Ignored)], []);
        yield return Time("decoder, 2,560 tokens, lora, forward and backward", () => model.Model.ForwardBackward([text], [1]));
        yield return Time("the same twice, in one pass", () => model.Model.ForwardBackward([text, text], [1, 1]));
        yield return Time("whole page, lora, forward and backward", WholePage);
        yield return Time("tower and projector, forward",
            () => model.Model.ImageTokens(ModelInputs.WithCrops(page, GpuTensors.Gpu).Images[0]));
        yield return Time("crops to the device", () => ModelInputs.WithCrops(page, GpuTensors.Gpu));
        yield return Time("square sum and optimizer, lora", () =>
        {
            GradientNorm.SquareSum(gradients);
            optimizer.Step(1e-5);
        });
        yield return HostTime(WholePage);

        void WholePage() => model.Model.ForwardBackward([ModelInputs.WithCrops(page, GpuTensors.Gpu)], [1]);
    }

    /// <summary>How long the host takes to enqueue what the device then works on: near the device's own time, it holds that up.</summary>
    private static GpuRow HostTime(Action work)
    {
        var seconds = 0.0;
        CudaProfiler.See(() =>
        {
            using var scope = NewDisposeScope();
            cuda.synchronize();
            var start = Stopwatch.GetTimestamp();
            work();
            seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        });
        return new("whole page, lora, the host's part", null, FormattableString.Invariant($"{seconds * 1e3:f2} ms"));
    }

    private static GpuRow Time(string what, Action work)
    {
        var milliseconds = GpuTensors.Seconds(work) * 1e3;
        return new(what, null, FormattableString.Invariant($"{milliseconds:f2} ms"))
        {
            Numbers = new Dictionary<string, double> { ["milliseconds"] = milliseconds },
        };
    }
}
