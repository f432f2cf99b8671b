using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Tests.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>A run beside training written down once more: the plain model, autograd, clipping and AdamW by their formulas.</summary>
public sealed class PlainLoopTests(SmallRuns runs) : IClassFixture<SmallRuns>
{
    [Theory]
    [InlineData("sample", 0.05)]
    [InlineData("token", 0)]
    public void A_full_run_is_the_plain_loop(string loss, double maxGradNorm)
    {
        using var scope = NewDisposeScope();
        var spec = runs.Spec with { Optimizer = runs.Spec.Optimizer with { Loss = loss, WeightDecay = 0.1, MaxGradNorm = maxGradNorm } };
        var output = runs.Finish(spec with { Batch = new() { Global = 3 } }, worldSize: 2);

        var (weights, steps) = Train(spec);

        var differences = new Differences();
        Compare("loss", [.. steps.Select(step => step.Loss)], 1e-5);
        Compare("grad_norm", [.. steps.Select(step => step.Norm)], 1e-4);
        using var model = SafeTensorsFile.Open(Path.Combine(output, "model", "model.safetensors"));
        double Squares(Func<string, Tensor> of) =>
            weights.Keys.Sum(name => of(name).detach().to_type(ScalarType.Float64).square().sum().item<double>());
        differences.Add("weights", Math.Sqrt(Squares(name => model.View(name) - weights[name]) / Squares(name => weights[name])), 1e-4);
        differences.Report($"{loss}, clipped to {maxGradNorm}");

        void Compare(string key, double[] expected, double tolerance)
        {
            var actual = SmallRuns.Numbers(output, key);
            Assert.Equal(expected.Length, actual.Count);
            for (var i = 0; i < expected.Length; i++)
                differences.Add($"{key} of step {i + 1}", Math.Abs(actual[i] - expected[i]) / expected[i], tolerance);
        }
    }

    private static (Dictionary<string, Tensor> Trained, List<(double Loss, double Norm)> Steps) Train(RunSpec spec)
    {
        using var checkpoint = BaseCheckpoint.Open(spec.Model.Path);
        var weights = checkpoint.Fill(info => empty(info.Shape));
        var trained = checkpoint.Used.ToDictionary(info => info.Name, info => weights[info.Name].requires_grad_());
        var model = new PlainPhi3V(checkpoint.Config, weights);
        var moments = trained.ToDictionary(pair => pair.Key, pair => (M: zeros_like(pair.Value), V: zeros_like(pair.Value)));
        var steps = new List<(double Loss, double Norm)>();
        foreach (var batch in Samples(spec, checkpoint.Config).Chunk(spec.Batch.Global))
        {
            double tokens = batch.Sum(Supervised), loss = 0;
            foreach (var sample in batch)
            {
                var weight = spec.Optimizer.Loss == "token" ? Supervised(sample) / tokens : 1.0 / batch.Length;
                var own = PlainPhi3V.Loss(model.Forward(ModelInputs.WithCrops(sample, CPU)).Logits, sample.Labels) * weight;
                own.backward();
                loss += own.item<float>();
            }
            var norm = Math.Sqrt(trained.Values.Sum(leaf => leaf.grad!.to_type(ScalarType.Float64).square().sum().item<double>()));
            steps.Add((loss, norm));
            foreach (var (name, leaf) in trained) Update(name, leaf, moments[name], norm, steps.Count, spec.Optimizer);
        }
        return (trained, steps);
    }

    private static void Update(string name, Tensor w, (Tensor M, Tensor V) moments, double norm, int t, OptimizerSpec spec)
    {
        using var quiet = no_grad();
        var (beta1, beta2) = (spec.Betas[0], spec.Betas[1]);
        var g = spec.MaxGradNorm > 0 && norm > spec.MaxGradNorm ? w.grad! * (spec.MaxGradNorm / norm) : w.grad!;
        moments.M.copy_(beta1 * moments.M + (1 - beta1) * g);
        moments.V.copy_(beta2 * moments.V + (1 - beta2) * g * g);
        var decays = !name.Contains("bias") && !name.Contains("layer_norm") && !name.Contains("layrnorm");
        if (decays) w.copy_(w * (1 - spec.LearningRate * spec.WeightDecay));
        var (m, v) = (moments.M / (1 - Math.Pow(beta1, t)), moments.V / (1 - Math.Pow(beta2, t)));
        w.copy_(w - spec.LearningRate * m / (v.sqrt() + spec.Epsilon));
        w.grad!.zero_();
    }

    private static List<EncodedSample> Samples(RunSpec spec, Phi3VConfig config)
    {
        using var data = Catalog<IDataset>.Find(spec.Data.Kind, "data.kind").Open(spec.Data, spec.Data.Train);
        var encoder = new SampleEncoder(Tokenizer.Load(spec.Model.Path), spec.Model.NumCrops!.Value, config.MaxPositions);
        return [.. Enumerable.Range(0, data.Count).Select(i => encoder.EncodeForTraining(data.Read(i), spec.Seed, epoch: 0))];
    }

    private static double Supervised(EncodedSample sample) => sample.Labels.Skip(1).Count(label => label != ModelInput.Ignored);
}
