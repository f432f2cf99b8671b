using System.Text.Json;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Tests.Engine.Jobs;

namespace Phi3VCluster.Training.Tests.Engine;

public sealed class EvaluationTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-evaluation").FullName;
    private readonly QuickstartFiles _files;

    public EvaluationTests() => _files = QuickstartFiles.Create(
        Path.Combine(_folder, "sample"), seed: 5, new SampleSizes(TrainPages: 12, EvalPages: 19, TinySizes.Smallest));

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_run_is_evaluated_on_its_way_and_trains_as_without()
    {
        var plain = Train("plain", Spec(), worldSize: 2);
        var watched = Train("watched", Spec() with { Evaluation = Spec().Evaluation with { EverySteps = 2 } }, worldSize: 2);

        // Six steps: at the last, training has ended.
        Assert.Equal(["eval-after.json", "eval-before.json", "eval-step-000002.json", "eval-step-000004.json"],
            Directory.EnumerateFiles(watched, "eval-*.json").Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal));
        Assert.All(Losses(plain).Zip(Losses(watched)), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        Assert.Equal(Loss(Evaluation(plain, "after")), Loss(Evaluation(watched, "after")), 1e-5);
        var points = Json(watched, "report.json").GetProperty("evaluations").EnumerateArray().ToList();
        Assert.Equal([0, 2, 4, 6], points.Select(point => point.GetProperty("step").GetInt64()));
        Assert.True(Loss(points[3]) < Loss(points[0]), $"{Loss(points[3])} < {Loss(points[0])}");
        Assert.Equal(Loss(Evaluation(watched, "step-000004")), Loss(points[2]));
        Assert.Contains("| 4 | ", File.ReadAllText(Path.Combine(watched, "report.md")));

        double Loss(JsonElement of) => of.GetProperty("loss").GetDouble();
    }

    [Fact]
    public void Any_number_of_ranks_finds_the_same()
    {
        var spec = Spec() with { Epochs = 1, Batch = new() { Global = 12 }, Optimizer = new() { LearningRate = 1e-3, WarmupSteps = 0 } };
        var one = Evaluation(Train("one", spec, worldSize: 1), "before").GetProperty("predictions").EnumerateArray().ToList();

        foreach (var worldSize in (int[])[2, 3])
        {
            var many = Evaluation(Train($"{worldSize}", spec, worldSize), "before").GetProperty("predictions").EnumerateArray().ToList();
            Assert.Equal(19, many.Count);
            foreach (var (expected, got) in one.Zip(many))
            {
                Assert.Equal(expected.GetProperty("index").GetInt32(), got.GetProperty("index").GetInt32());
                Assert.Equal(expected.GetProperty("prediction").GetString(), got.GetProperty("prediction").GetString());
                // To the bit only with as many threads a rank.
                Assert.Equal(expected.GetProperty("loss").GetDouble(), got.GetProperty("loss").GetDouble(), 1e-5);
            }
        }
    }

    [Fact]
    public void The_loss_alone_needs_no_answers_and_is_what_eval_measures()
    {
        var spec = Spec() with { Epochs = 1, Evaluation = new() { Metric = "loss" } };

        var before = Evaluation(Train("loss", spec, worldSize: 2), "before");

        var loss = before.GetProperty("loss").GetDouble();
        Assert.Equal(loss, before.GetProperty("value").GetDouble());
        Assert.All(before.GetProperty("predictions").EnumerateArray(),
            sample => Assert.Equal(JsonValueKind.Null, sample.GetProperty("prediction").ValueKind));
        var job = new EvaluateJob
        {
            Model = _files.Checkpoint,
            DataKind = "conversations",
            Data = _files.Eval,
            Metrics = ["loss"],
            NumCrops = 1,
        };
        Assert.Equal(JobRun.Evaluate(job).Values["loss"], loss, 1e-5);
    }

    [Fact]
    public void Evaluating_on_the_way_needs_held_out_samples()
    {
        var spec = Spec() with { Data = new() { Train = _files.Train }, Evaluation = new() { EverySteps = 2 } };

        var ends = LocalRun.Train(spec, worldSize: 1, Path.Combine(_folder, "none"));

        Assert.Equal((RankPhase.Failed, "evaluation.everySteps: no samples are held out, got 2; "
            + "name some in data.eval or data.evalRows, or leave it out."), (ends[0].Phase, ends[0].Error));
    }

    private string Train(string name, RunSpec spec, int worldSize)
    {
        var output = Path.Combine(_folder, name);
        var ends = LocalRun.Train(spec, worldSize, output);
        Assert.All(ends, end => Assert.True(end.Phase == RankPhase.Finished, $"rank {end.Id.Seat}: {end.Error}"));
        return output;
    }

    private static JsonElement Evaluation(string output, string when) => Json(output, $"eval-{when}.json");

    private static JsonElement Json(string output, string file) =>
        JsonDocument.Parse(File.ReadAllText(Path.Combine(output, file))).RootElement;

    private static List<double> Losses(string output) => [.. LocalRun.Steps(output).Select(step => step.GetProperty("loss").GetDouble())];

    private RunSpec Spec() => new()
    {
        Model = new() { Path = _files.Checkpoint, NumCrops = 1 },
        Data = new() { Train = _files.Train, Eval = _files.Eval },
        Batch = new() { Global = 4 },
        Epochs = 2,
        Optimizer = new() { LearningRate = 1e-3, WarmupSteps = 2 },
        Evaluation = new() { MaxNewTokens = 3 },
        Output = _folder,
    };
}
