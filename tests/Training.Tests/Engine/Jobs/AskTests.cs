using Phi3VCluster.Samples;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Engine.Jobs;
using Phi3VCluster.Training.Tests.Checkpoints;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Engine.Jobs;

/// <summary>How a model is asked: where answers end, what is computed in, where samples come from.</summary>
public sealed class AskTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly QuickstartFiles _files;

    public AskTests() =>
        _files = QuickstartFiles.Create(_folder["sample"], seed: 3, new SampleSizes(TrainPages: 3, EvalPages: 2, TinySizes.Smallest));

    private string Page => Directory.EnumerateFiles(_folder["sample"], "page-*.png", SearchOption.AllDirectories).Order().First();

    private GenerateJob Question => new() { Model = _files.Checkpoint, Images = [Page], Prompt = "What?", MaxNewTokens = 6 };

    private EvaluateJob Questions =>
        new() { Model = _files.Checkpoint, DataKind = "conversations", Data = _files.Eval, Metrics = ["loss"] };

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("{0}")]
    [InlineData("[31990, {0}]")]
    public void An_answer_ends_at_any_id_that_generation_config_lists(string form)
    {
        var open = JobRun.Generate(Question);
        Assert.Equal((6, "length"), (open.Tokens.Count, open.FinishReason));
        var end = open.Tokens[2];
        File.WriteAllText(Path.Combine(_files.Checkpoint, "generation_config.json"),
            $"{{\"eos_token_id\": {string.Format(null, form, end)}}}");

        var ended = JobRun.Generate(Question);
        var asked = JobRun.Evaluate(Questions with { Metrics = ["anls"], MaxNewTokens = 6 });

        Assert.Equal(open.Tokens.Take(open.Tokens.ToList().IndexOf(end) + 1), ended.Tokens);
        Assert.Equal("stop", ended.FinishReason);
        Assert.Equal(6, JobRun.Generate(Question with { IgnoreEndOfText = true }).Tokens.Count);
        Assert.All(asked.Samples, row => Assert.Contains(row.FinishReason, (string[])["stop", "length"]));
    }

    [Fact]
    public void Answers_that_were_cut_are_counted()
    {
        var result = JobRun.Evaluate(Questions with { Metrics = ["anls"], MaxNewTokens = 1 });

        Assert.All(result.Samples, row => Assert.Equal("length", row.FinishReason));
        Assert.Contains("2 of 2 answers were cut", Assert.Single(result.Notes));
        Assert.All(JobRun.Evaluate(Questions).Samples, row => Assert.Null(row.FinishReason));
    }

    [Theory]
    [InlineData("[\"a\"]")]
    [InlineData("{}")]
    public void An_end_that_is_no_id_is_refused(string ends)
    {
        File.WriteAllText(Path.Combine(_files.Checkpoint, "generation_config.json"), $"{{\"eos_token_id\": {ends}}}");

        Assert.Contains("eos_token_id must be a token id", JobRun.Refused(Question));
    }

    [Theory]
    [InlineData("bf16", 0.1)]
    [InlineData("fp16", 0.02)]
    public void Sixteen_bits_answer_much_as_thirty_two(string precision, double tolerance)
    {
        var exact = JobRun.Evaluate(Questions with { Precision = "fp32" });
        var rounded = JobRun.Evaluate(Questions with { Precision = precision });

        Assert.Equal(("fp32", precision), (exact.Precision, rounded.Precision));
        Assert.NotEqual(exact.Values["loss"], rounded.Values["loss"]);
        Assert.Equal(exact.Values["loss"], rounded.Values["loss"], tolerance);
        Assert.Equal(precision, JobRun.Generate(Question with { Precision = precision }).Precision);
    }

    [Fact]
    public void Auto_is_bf16_for_a_large_model_stored_so_where_that_is_fast()
    {
        var sizes = TinySizes.Smallest with { Hidden = 1024, Intermediate = 16, Layers = 1 };
        Assert.Equal("fp32", Auto("small", TinySizes.Smallest, ScalarType.BFloat16, isFast: true));
        Assert.Equal("bf16", Auto("large", sizes, ScalarType.BFloat16, isFast: true));
        Assert.Equal("fp32", Auto("slow", sizes, ScalarType.BFloat16, isFast: false));
        Assert.Equal("fp32", Auto("wide", sizes, ScalarType.Float32, isFast: true));
        Assert.Equal("fp32", JobRun.Generate(Question).Precision);
        Assert.Contains("--precision: unknown, got int8; choose one of auto, fp32, bf16, fp16.",
            JobRun.Refused(Question with { Precision = "int8" }));
    }

    [Fact]
    public void Samples_are_read_with_an_image_root_of_their_own()
    {
        var moved = _folder["elsewhere.jsonl"];
        File.Copy(_files.Eval, moved);

        Assert.Contains("--data: ", JobRun.Refused(Questions with { Data = moved }));
        Assert.Equal(JobRun.Evaluate(Questions).Values["loss"],
            JobRun.Evaluate(Questions with { Data = moved, ImageRoot = Path.GetDirectoryName(_files.Eval) }).Values["loss"], 1e-5);
        Assert.Contains("--image-root: no such folder", JobRun.Refused(Questions with { ImageRoot = _folder["nowhere"] }));
    }

    [Fact]
    public void A_specs_data_section_holds_out_what_a_run_would()
    {
        var first = JobRun.Evaluate(Questions with { Data = _files.Train, Section = new() { Train = _files.Train, EvalRows = 2 } });
        var other = JobRun.Evaluate(Questions with { Data = _files.Eval, Section = new() { Train = _files.Train, Eval = _files.Eval } });

        Assert.Equal(["train-0000", "train-0001"], first.Samples.Select(row => row.Id));
        Assert.Equal(["eval-0000", "eval-0001"], other.Samples.Select(row => row.Id));
        Assert.Contains("holds out no samples",
            JobRun.Refused(Questions with { Data = _files.Train, Section = new() { Train = _files.Train } }));
    }

    [Fact]
    public void The_folder_of_a_run_means_what_the_run_made()
    {
        new RandomAdapter(1, Dora: false, Vision: false).Save(_folder["run/adapter"], _files.Checkpoint);
        Directory.CreateDirectory(_folder["full"]);
        Directory.Move(_files.Checkpoint, _folder["full/model"]);

        var result = JobRun.Generate(Question with { Model = _folder["full"], Adapter = _folder["run"], MaxNewTokens = 1 });

        Assert.Single(result.Tokens);
        Assert.Contains("--model: is the folder of a run that made an adapter", JobRun.Refused(Question with { Model = _folder["run"] }));
        Assert.Contains("--adapter: is the folder of a whole model",
            JobRun.Refused(Question with { Model = _folder["full"], Adapter = _folder["full"] }));
    }

    [Fact]
    public void A_merge_removes_and_names_what_a_killed_one_left()
    {
        new RandomAdapter(1, Dora: false, Vision: false).Save(_folder["adapter"], _files.Checkpoint);
        Directory.CreateDirectory(_folder["merged.partial-0123"]);
        File.WriteAllText(_folder["merged.partial-0123/.being-written"], "");
        File.WriteAllBytes(_folder["merged.partial-0123/model.safetensors"], new byte[2_500_000]);

        var result = JobRun.Merge(new() { Model = _files.Checkpoint, Adapter = _folder["adapter"], To = _folder["merged"] });

        Assert.Contains("merged.partial-0123: was left by a command that was killed, 2.5 MB; it has been removed.",
            Assert.Single(result.Notes));
        Assert.False(Directory.Exists(_folder["merged.partial-0123"]));
        Assert.False(File.Exists(_folder["merged/.being-written"]));
    }

    private string Auto(string name, TinySizes sizes, ScalarType type, bool isFast)
    {
        using var scope = NewDisposeScope();
        var made = TinyCheckpoint.Create(_folder[name], seed: 1, sizes);
        using (var source = CheckpointFolder.Open(made))
        {
            StoredTensor[] stored = [.. source.Names.Select(tensor => StoredTensor.Of(tensor, source.View(tensor).to(type)))];
            HfExport.Save(source, _folder[name + "-stored"], stored);
        }
        using var checkpoint = BaseCheckpoint.Open(_folder[name + "-stored"]);
        return JobPrecision.Auto(checkpoint, isFast);
    }
}
