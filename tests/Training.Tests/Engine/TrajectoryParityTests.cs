using System.Globalization;
using System.Text.Json.Nodes;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Tests.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>Whole runs, step by step, beside those that Hugging Face's trainer and PEFT recorded.</summary>
[Trait("Category", "Parity")]
public sealed class TrajectoryParityTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-trajectory").FullName;

    public static IEnumerable<TheoryDataRow<string?, int>> Runs =>
        from row in ReferenceFolder.Folders("trajectories", "trajectory.json")
        from worldSize in (int[])[1, 2]
        select new TheoryDataRow<string?, int>(row.Data, worldSize);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory, MemberData(nameof(Runs))]
    public void A_run_is_the_original_step_by_step(string? name, int worldSize)
    {
        ReferenceFolder.SkipIfAbsent(name);
        var recorded = JsonNode.Parse(File.ReadAllText(ReferenceFolder.PathOf("trajectories", name!, "trajectory.json")))!;
        var spec = SpecOf(name!, recorded, worldSize);
        var output = Path.Combine(_folder, "run");

        var ends = LocalRun.Train(spec, worldSize, output);

        Assert.All(ends, end => Assert.True(end.Phase == RankPhase.Finished, $"rank {end.Id.Seat}: {end.Error}"));
        var differences = new Differences();
        CompareSteps(recorded, output, differences);
        CompareWeights(name!, output, differences);
        CompareFinalLosses(recorded, spec, output, differences);
        differences.Report($"{name}, {worldSize} ranks");
    }

    private RunSpec SpecOf(string name, JsonNode run, int worldSize)
    {
        var initial = ReferenceFolder.PathOf("trajectories", name, "initial_adapter");
        return new()
        {
            Model = new() { Path = ReferenceFolder.PathOf("model", "tiny"), NumCrops = (int)run["num_crops"]! },
            Method = new()
            {
                Kind = (string)run["method"]!,
                Dora = (bool)run["dora"]!,
                FreezeVision = (bool)run["freeze_vision"]!,
                Rank = (int?)run["rank"] ?? 32,
                Alpha = (double?)run["alpha"],
                Adapter = Directory.Exists(initial) ? initial : null,
            },
            Data = new() { Kind = "conversations", Train = ReferenceFolder.PathOf("trajectories", "data.jsonl"), Shuffle = false },
            Batch = new() { Global = (int)run["global_batch"]! },
            Epochs = (int)run["epochs"]!,
            Optimizer = new()
            {
                LearningRate = (double)run["learning_rate"]!,
                Schedule = (string)run["schedule"]!,
                WarmupSteps = (int)run["warmup_steps"]!,
                WeightDecay = (double)run["weight_decay"]!,
                Betas = [.. run["betas"]!.AsArray().Select(beta => (double)beta!)],
                Epsilon = (double)run["epsilon"]!,
                MaxGradNorm = (double)run["max_grad_norm"]!,
            },
            Cluster = new() { MinRanks = worldSize, MaxRanks = worldSize },
            Output = _folder,
        };
    }

    private static void CompareSteps(JsonNode recorded, string output, Differences differences)
    {
        var steps = LocalRun.Steps(output);
        var expected = recorded["steps"]!.AsArray();
        Assert.Equal(expected.Count, steps.Count);
        foreach (var (want, got) in expected.Zip(steps))
        {
            var step = $"step {(int)want!["step"]!}";
            differences.Same($"{step}'s samples", want["sample_ids"]!.AsArray().Select(id => (string)id!)
                .SequenceEqual(got.GetProperty("sample_ids").EnumerateArray().Select(id => id.GetString()!)));
            Relative($"loss of {step}", "loss", 1e-5);
            Relative($"gradient norm of {step}", "grad_norm", 5e-4);
            Relative($"learning rate of {step}", "learning_rate", 1e-12);

            void Relative(string what, string key, double tolerance)
            {
                var (is_, should) = (got.GetProperty(key).GetDouble(), (double)want[key]!);
                differences.Add(what, should == 0 ? Math.Abs(is_) : Math.Abs(is_ - should) / Math.Abs(should), tolerance);
            }
        }
    }

    private static void CompareWeights(string name, string output, Differences differences)
    {
        using var scope = NewDisposeScope();
        if (Directory.Exists(ReferenceFolder.PathOf("trajectories", name, "adapter")))
        {
            using var expected = SafeTensorsFile.Open(ReferenceFolder.PathOf("trajectories", name, "adapter", "adapter_model.safetensors"));
            using var got = SafeTensorsFile.Open(Path.Combine(output, "adapter", "adapter_model.safetensors"));
            var ofAdapter = expected.Names.Where(tensor => !tensor.Contains("base_layer", StringComparison.Ordinal)).ToList();
            differences.Same("the adapter's names", ofAdapter.Order().SequenceEqual(got.Names.Order()));
            foreach (var tensor in ofAdapter) differences.RelativeNorm(tensor, got.View(tensor), expected.View(tensor), 1e-4, floor: 1e-12);
            return;
        }
        using var reference = SafeTensorsFile.Open(ReferenceFolder.PathOf("trajectories", name, "final.safetensors"));
        using var model = CheckpointFolder.Open(Path.Combine(output, "model"));
        foreach (var tensor in reference.Names.Where(model.Contains))
        {
            var (want, whole) = (reference.View(tensor), model.View(tensor).to_type(ScalarType.Float32));
            if (reference.Contains("rows") && !want.shape.SequenceEqual(whole.shape))
                whole = whole.index_select(0, reference.View("rows").to_type(ScalarType.Int64));
            differences.RelativeNorm(tensor, whole, want, 1e-4, floor: 1e-12);
        }
    }

    /// <summary>The losses of the trained model, loaded again from what the run wrote.</summary>
    private static void CompareFinalLosses(JsonNode recorded, RunSpec spec, string output, Differences differences)
    {
        using var scope = NewDisposeScope();
        var isAdapter = spec.Method.Adapter is not null;
        using var model = TrainedModel.Load(isAdapter
            ? spec with { Method = spec.Method with { Adapter = Path.Combine(output, "adapter") } }
            : spec with { Model = spec.Model with { Path = Path.Combine(output, "model") } }, RankCompute.Plain);
        using var data = Catalog<IDataset>.Find(spec.Data.Kind, "data.kind").Open(spec.Data, spec.Data.Train);
        var encoder = new SampleEncoder(Tokenizer.Load(spec.Model.Path), spec.Model.NumCrops!.Value, model.Config.MaxPositions);
        var inputs = new ModelInputs(model.Model, RankCompute.Plain);
        for (var i = 0; i < data.Count; i++)
        {
            using var step = NewDisposeScope();
            var sample = data.Read(i);
            var loss = model.Model.Loss(inputs.For(encoder.EncodeForTraining(sample, spec.Seed, epoch: 0)));
            if (recorded["final_sample_losses"]![sample.Id] is { } expected)
                differences.Add(string.Create(CultureInfo.InvariantCulture, $"final loss of {sample.Id}"),
                    Math.Abs(loss - (double)expected), 1e-4);
        }
    }
}
