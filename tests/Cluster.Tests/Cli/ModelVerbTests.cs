using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Samples;

namespace Phi3VCluster.Cluster.Tests.Cli;

/// <summary>generate, eval and merge with a real silo, which each starts and stops unless one is up.</summary>
public sealed class ModelVerbTests : IDisposable
{
    private readonly CliSandbox _cli = new();
    private readonly QuickstartFiles _files;
    private readonly string _page;

    public ModelVerbTests()
    {
        _files = QuickstartFiles.Create(_cli.At("sample"), seed: 3, new SampleSizes(TrainPages: 1, EvalPages: 2, TinySizes.Smallest));
        _page = Directory.EnumerateFiles(_cli.At("sample"), "page-*.png", SearchOption.AllDirectories).First();
    }

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task Generate_answers_about_an_image_with_an_adapter_and_leaves_nothing_behind()
    {
        var answer = await _cli.JsonAsync(0, "generate", "--model", "sample/model", "--adapter", WriteAdapter(), "--image", _page,
            "--prompt", "What?", "--max-new-tokens", "3", "--ignore-eos");

        Assert.Equal(3, answer.GetProperty("tokens").GetArrayLength());
        Assert.All(answer.GetProperty("log_probabilities").EnumerateArray(), p => Assert.True(p.GetDouble() < 0));
        Assert.Equal(JsonValueKind.String, answer.GetProperty("text").ValueKind);
        var imageTokens = Assert.Single(answer.GetProperty("image_tokens").EnumerateArray()).GetInt32();
        Assert.True(answer.GetProperty("prompt_tokens").GetInt32() > imageTokens);
        Assert.True(answer.GetProperty("seconds").GetDouble() > 0);
        Assert.Empty(LocalSiloFolders());
    }

    [Fact]
    public async Task Eval_measures_what_was_asked_for()
    {
        var result = await _cli.JsonAsync(0, "eval", "--model", _files.Checkpoint, "--data", $"conversations:{_files.Eval}",
            "--metrics", "loss,anls", "--max-new-tokens", "2");

        Assert.True(result.GetProperty("loss").GetDouble() > 0);
        Assert.InRange(result.GetProperty("anls").GetDouble(), 0, 1);
        Assert.False(result.TryGetProperty("accuracy", out _));
        Assert.All(result.GetProperty("samples").EnumerateArray(), sample => Assert.Subset(
            sample.EnumerateObject().Select(key => key.Name).ToHashSet(), new HashSet<string> { "id", "loss", "prediction", "score" }));
        Assert.Equal(2, result.GetProperty("samples").GetArrayLength());
        Assert.Empty(LocalSiloFolders());
    }

    [Fact]
    public async Task Merge_makes_a_checkpoint_that_answers_as_model_and_adapter_do()
    {
        var adapter = WriteAdapter(values: 0.5f);
        await _cli.JsonAsync(0, ["up", .. FreePorts.Take().Options]);

        var made = await _cli.JsonAsync(0, "merge", "--model", "sample/model", "--adapter", "adapter", "--to", "out/merged");

        Assert.Equal((_cli.At("out/merged"), "fp32", 1),
            (made.GetProperty("output").GetString(), made.GetProperty("dtype").GetString(), made.GetProperty("merged").GetInt32()));
        Assert.True(made.GetProperty("tensors").GetInt32() > 1);
        var unmerged = new FileInfo(_cli.At("sample/model/model.safetensors"));
        Assert.Equal(unmerged.Length, made.GetProperty("bytes").GetInt64(), tolerance: 20_000); // and a header
        Assert.True(made.GetProperty("seconds").GetDouble() > 0);
        var (plain, adapted) = (await Answer("sample/model"), await Answer("sample/model", "--adapter", adapter));
        var merged = await Answer("out/merged");
        Assert.NotEqual(plain[0], adapted[0], 1e-3);
        Assert.All(adapted.Zip(merged), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
        await _cli.JsonAsync(0, "down");

        async Task<double[]> Answer(string model, params string[] more)
        {
            var answer = await _cli.JsonAsync(0,
                ["generate", "--model", model, "--image", _page, "--prompt", "What?", "--max-new-tokens", "3", "--ignore-eos", .. more]);
            return [.. answer.GetProperty("log_probabilities").EnumerateArray().Select(p => p.GetDouble())];
        }
    }

    [Fact]
    public async Task Eval_reads_images_from_a_root_of_their_own_and_a_tilde_is_the_home_folder()
    {
        _cli.Set("HOME", _cli.Folder);
        File.Copy(_files.Eval, _cli.At("elsewhere.jsonl"));

        var result = await _cli.JsonAsync(0, "eval", "--model", "~/sample/model", "--data", "conversations:~/elsewhere.jsonl",
            "--image-root", "~/sample", "--metrics", "loss", "--precision", "bf16");

        Assert.True(result.GetProperty("loss").GetDouble() > 0);
        Assert.Equal("bf16", result.GetProperty("precision").GetString());
        Assert.False(Directory.Exists(_cli.At("~")));
    }

    [Fact]
    public async Task Eval_takes_its_samples_from_a_specs_data_section()
    {
        var spec = _cli.Write("run.yaml", """
            data: { train: sample/train.jsonl, eval: sample/eval.jsonl }
            """);

        var result = await _cli.JsonAsync(0, "eval", "--model", "sample/model", "--spec", spec, "--metrics", "loss");
        var both = await _cli.RunAsync("eval", "--model", "sample/model", "--spec", spec, "--data", $"conversations:{_files.Eval}");
        var neither = await _cli.RunAsync("eval", "--model", "sample/model");

        Assert.Equal(2, result.GetProperty("samples").GetArrayLength());
        Assert.Equal((2, 2), (both.ExitCode, neither.ExitCode));
        Assert.Contains("--data: or --spec, not both", both.Stderr);
        Assert.Contains("--data: or --spec is required", neither.Stderr);
    }

    [Fact]
    public async Task A_temporary_folder_that_is_not_there_is_said_also_by_doctor()
    {
        _cli.Set("TMPDIR", _cli.At("nowhere"));

        var generate = await _cli.RunAsync("generate", "--model", "sample/model", "--prompt", "What?");
        var doctor = await _cli.RunAsync("doctor");

        Assert.Equal(2, generate.ExitCode);
        Assert.Contains($"TMPDIR: no such folder, got {_cli.At("nowhere")}", generate.Stderr);
        Assert.Contains("TMPDIR: no such folder", doctor.Stdout);
    }

    [Fact]
    public async Task What_the_node_refuses_exits_2()
    {
        var result = await _cli.RunAsync("generate", "--model", _files.Checkpoint, "--prompt", "What?", "--max-new-tokens", "200000");

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("--max-new-tokens: the model's context is", result.Stderr);
        Assert.Empty(LocalSiloFolders());
    }

    [Fact]
    public async Task What_is_seen_to_be_wrong_starts_nothing()
    {
        var silo = FakeSilo.ThatNeverGetsReady(_cli);

        var generate = await _cli.RunAsync("generate", "--model", "nowhere", "--image", "no.png", "--prompt", "", "--json");
        var eval = await _cli.RunAsync("eval", "--model", _files.Checkpoint, "--data", "eval.jsonl");
        var merge = await _cli.RunAsync(
            "merge", "--model", _files.Checkpoint, "--adapter", WriteAdapter(), "--to", "sample", "--dtype", "int8", "--json");
        var toNowhere = await _cli.RunAsync("merge", "--model", _files.Checkpoint);

        Assert.Equal(2, generate.ExitCode);
        Assert.Equal(["--prompt", "--model", "--image"],
            generate.Stderr.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l["phi3v: ".Length..].Split(':')[0]));
        Assert.Equal((2, "phi3v: --data: must be KIND:PATH, got eval.jsonl; write for example conversations:data/test.jsonl.\n"),
            (eval.ExitCode, eval.Stderr));
        Assert.Contains("--dtype: unknown, got int8", merge.Stdout); // the document
        Assert.Equal((2, "phi3v: --dtype: unknown, got int8; choose one of fp32, bf16, fp16.\n"
            + $"phi3v: --to: the folder is not empty, got {_cli.At("sample")}; give a new folder.\n"), (merge.ExitCode, merge.Stderr));
        Assert.Equal((2, "phi3v: Option '--adapter' is required. Option '--to' is required. See `phi3v merge --help`.\n"),
            (toNowhere.ExitCode, toNowhere.Stderr));
        Assert.False(silo.HasStarted);
    }

    private string[] LocalSiloFolders() => Directory.GetDirectories(_cli.At("tmp"), "phi3v-local-*");

    /// <summary>PEFT's layout, by hand: the CLI's tests load no tensors.</summary>
    private string WriteAdapter(float values = 0)
    {
        const int rank = 2, width = 16;
        _cli.Write("adapter/adapter_config.json", $$"""{"peft_type": "LORA", "r": {{rank}}, "lora_alpha": 4, "bias": "none"}""");
        var bytes = rank * width * sizeof(float);
        const string module = "base_model.model.model.layers.0.self_attn.o_proj";
        var header = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object>
        {
            [$"{module}.lora_A.weight"] = new { dtype = "F32", shape = (int[])[rank, width], data_offsets = (int[])[0, bytes] },
            [$"{module}.lora_B.weight"] = new { dtype = "F32", shape = (int[])[width, rank], data_offsets = (int[])[bytes, 2 * bytes] },
        });
        var tensors = Enumerable.Repeat(BitConverter.GetBytes(values), 2 * rank * width).SelectMany(value => value);
        File.WriteAllBytes(_cli.At("adapter/adapter_model.safetensors"),
            [.. BitConverter.GetBytes((long)header.Length), .. header, .. tensors]);
        return _cli.At("adapter");
    }
}
