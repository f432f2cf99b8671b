using System.Text.Json.Nodes;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Engine.Jobs;
using Phi3VCluster.Training.Tests.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Engine.Jobs;

public sealed class MergeTests : IDisposable
{
    private const string TowersLast = "model.vision_embed_tokens.img_processor.vision_model.encoder.layers.1.mlp.fc1.weight";

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-merge").FullName;
    private readonly QuickstartFiles _files;

    public MergeTests() => _files = QuickstartFiles.Create(
        At("sample"), seed: 5, new SampleSizes(TrainPages: 1, EvalPages: 2, TinySizes.Smallest));

    public static TheoryData<int, bool, bool> Adapters => new(
        from seed in Enumerable.Range(0, 3)
        from dora in (bool[])[false, true]
        from vision in (bool[])[false, true]
        select (seed, dora, vision));

    public static IEnumerable<TheoryDataRow<string?>> Runs => ReferenceFolder.Folders("trajectories", "adapter/adapter_config.json");

    private MergeJob Job => new() { Model = _files.Checkpoint, Adapter = At("adapter"), To = At("merged") };

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory, MemberData(nameof(Adapters))]
    public void A_merged_model_answers_and_loses_as_base_and_adapter_do(int seed, bool dora, bool vision)
    {
        var maps = new RandomAdapter(seed, dora, vision).Save(At("adapter"), _files.Checkpoint);

        var result = JobRun.Merge(Job);

        Assert.Equal((At("merged"), "fp32", maps), (result.Output, result.Dtype, result.Merged));
        var question = new GenerateJob { Prompt = "Which?", Images = [Page()], MaxNewTokens = 12, IgnoreEndOfText = true };
        var plain = JobRun.Generate(question with { Model = _files.Checkpoint });
        var adapted = JobRun.Generate(question with { Model = _files.Checkpoint, Adapter = At("adapter") });
        var merged = JobRun.Generate(question with { Model = At("merged") });
        Assert.Equal(adapted.Tokens, merged.Tokens);
        Assert.All(adapted.LogProbabilities.Zip(merged.LogProbabilities), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
        Assert.True(Math.Abs(plain.LogProbabilities[0] - adapted.LogProbabilities[0]) > 1e-2,
            "the adapter changes too little to prove anything");
        AssertSameLosses(new() { DataKind = "conversations", Data = _files.Eval, Metrics = ["loss"] }, Job, 1e-4);
    }

    [Theory, MemberData(nameof(Runs)), Trait("Category", "Parity")]
    public void An_adapter_that_PEFT_saved_is_merged_without_a_change_in_loss(string? name)
    {
        ReferenceFolder.SkipIfAbsent(name);
        var job = Job with
        {
            Model = ReferenceFolder.PathOf("model", "tiny"),
            Adapter = ReferenceFolder.PathOf("trajectories", name!, "adapter"),
        };

        JobRun.Merge(job);

        var data = ReferenceFolder.PathOf("trajectories", "data.jsonl");
        AssertSameLosses(new() { DataKind = "conversations", Data = data, NumCrops = 1, Metrics = ["loss"] }, job, 1e-4);
    }

    [Theory]
    [InlineData("fp32", "float32", ScalarType.Float32)]
    [InlineData("bf16", "bfloat16", ScalarType.BFloat16)]
    [InlineData("fp16", "float16", ScalarType.Float16)]
    public void All_weights_are_stored_in_the_type_that_config_json_then_names(string dtype, string name, ScalarType type)
    {
        new RandomAdapter(1, Dora: true, Vision: true).Save(At("adapter"), _files.Checkpoint);

        var result = JobRun.Merge(Job with { Dtype = dtype });

        using var scope = NewDisposeScope();
        using var source = CheckpointFolder.Open(_files.Checkpoint);
        using var merged = CheckpointFolder.Open(At("merged"));
        Assert.Equal(source.Names.Order(), merged.Names.Order());
        Assert.All(merged.Names, tensor => Assert.Equal(type, merged.Type(tensor)));
        var bytes = merged.Names.Sum(tensor => merged.View(tensor).numel() * merged.View(tensor).ElementSize);
        Assert.Equal((source.Names.Count, bytes), (result.Tensors, result.Bytes));
        Assert.Equal(name, (string?)JsonNode.Parse(File.ReadAllText(Path.Combine(At("merged"), "config.json")))!["torch_dtype"]);
        Assert.True(source.View("model.norm.weight").to_type(type).eq(merged.View("model.norm.weight")).all().item<bool>());
        Assert.Equal(Others(_files.Checkpoint), Others(At("merged")));

        static IEnumerable<string?> Others(string folder) => Directory.EnumerateFiles(folder).Select(Path.GetFileName).Order();
    }

    [Fact]
    public void The_towers_last_layer_is_merged_though_nothing_reads_it()
    {
        using var scope = NewDisposeScope();
        new RandomAdapter(2, Dora: false, Vision: true).Save(At("adapter"), _files.Checkpoint);
        using var adapter = PeftAdapter.Load(At("adapter"));
        var (a, b) = (Part("lora_A.weight"), Part("lora_B.weight"));

        JobRun.Merge(Job);

        using var source = CheckpointFolder.Open(_files.Checkpoint);
        using var merged = CheckpointFolder.Open(At("merged"));
        var difference = merged.View(TowersLast) - source.View(TowersLast) - adapter.Settings.Scale * b.mm(a);
        Assert.InRange(difference.abs().max().item<float>(), 0, 1e-6);

        Tensor Part(string end)
        {
            var name = TowersLast.Replace("weight", end, StringComparison.Ordinal);
            var tensor = empty(adapter.Info(name).Shape);
            adapter.CopyTo(name, tensor);
            return tensor;
        }
    }

    [Fact]
    public void All_that_is_wrong_with_the_options_is_said_at_once()
    {
        var problems = JobRun.Refused(new MergeJob { Model = At("no-model"), To = "", Dtype = "fp8" });

        Assert.Equal(["--adapter", "--to", "--dtype", "--model"], problems.Split('\n').Select(problem => problem.Split(':')[0]));
        Assert.Contains("unknown, got fp8; choose one of fp32, bf16, fp16.", problems);
    }

    [Theory]
    [InlineData("sample", "the folder is not empty")]
    [InlineData("sample/model/", "is the model's own folder")]
    [InlineData("sample/eval.jsonl", "is a file")]
    [InlineData("sample/eval.jsonl/merged", "cannot be written")]
    public void A_target_that_is_not_new_is_refused_and_left_as_it_is(string target, string reason)
    {
        new RandomAdapter(0, Dora: false, Vision: false).Save(At("adapter"), _files.Checkpoint);
        var before = Everything();

        Assert.Contains($"--to: {reason}", JobRun.Refused(Job with { To = At(target) }));

        Assert.Equal(before, Everything());
    }

    [Fact]
    public void An_empty_target_is_filled()
    {
        new RandomAdapter(0, Dora: false, Vision: false).Save(At("adapter"), _files.Checkpoint);
        Directory.CreateDirectory(At("merged"));

        JobRun.Merge(Job with { To = At("merged/") });

        Assert.Contains("model.safetensors", Directory.EnumerateFiles(At("merged")).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData("lm_head.lora_B.weight", float.NaN, "fp32", "--adapter: lm_head.weight is not finite once merged, got NaN")]
    [InlineData("lm_head.lora_B.weight", 1e6f, "fp16", "--dtype: fp16 ends at 65504 and lm_head.weight goes to ")]
    public void Numbers_that_cannot_be_stored_are_refused_and_nothing_is_left(string name, float value, string dtype, string reason)
    {
        new RandomAdapter(0, Dora: false, Vision: false).Save(At("adapter"), _files.Checkpoint, (tensor, values) =>
        {
            if (tensor == name) values.fill_(value);
        });
        var before = Everything();

        Assert.Contains(reason, JobRun.Refused(Job with { Dtype = dtype }));

        Assert.Equal(before, Everything());
    }

    [Fact]
    public void An_adapter_of_another_model_is_refused_and_nothing_is_left()
    {
        var other = TinyCheckpoint.Create(At("other"), seed: 1, TinySizes.Smallest with { Intermediate = 48 });
        new RandomAdapter(0, Dora: true, Vision: false).Save(At("adapter"), other);
        var before = Everything();

        Assert.Contains("is not of this model: model.layers.0.mlp.down_proj must be [16, 32], got [16, 48]", JobRun.Refused(Job));

        Assert.Equal(before, Everything());
    }

    [Fact]
    public void A_merge_that_is_stopped_half_way_leaves_nothing()
    {
        new RandomAdapter(0, Dora: false, Vision: false).Save(At("adapter"), _files.Checkpoint);
        using var stop = new CancellationTokenSource();
        var before = Everything();

        Assert.Throws<OperationCanceledException>(() => MergeRunner.Run(Job, (_, done, total) =>
        {
            if (done == total / 2) stop.Cancel();
        }, stop.Token));

        Assert.Equal(before, Everything());
    }

    private string At(string name) => Path.Combine(_folder, name);

    private string Page() => Directory.EnumerateFiles(_folder, "page-*.png", SearchOption.AllDirectories).Order().First();

    private List<string> Everything() => [.. Directory.EnumerateFileSystemEntries(_folder, "*", SearchOption.AllDirectories).Order()];

    private static void AssertSameLosses(EvaluateJob asked, MergeJob merge, double tolerance)
    {
        var adapted = JobRun.Evaluate(asked with { Model = merge.Model, Adapter = merge.Adapter });
        var merged = JobRun.Evaluate(asked with { Model = merge.To });
        Assert.NotEmpty(adapted.Samples);
        Assert.Equal(adapted.Samples.Select(row => row.Id), merged.Samples.Select(row => row.Id));
        Assert.All(adapted.Samples.Zip(merged.Samples), pair => Assert.Equal(pair.First.Loss!.Value, pair.Second.Loss!.Value, tolerance));
    }
}
