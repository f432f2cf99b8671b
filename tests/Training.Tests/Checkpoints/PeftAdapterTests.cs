using System.Text.Json.Nodes;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Tests.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Checkpoints;

public sealed class PeftAdapterTests
{
    private static readonly string[] Modules = ["model.layers.0.mlp.down_proj", "lm_head", "model.vision_embed_tokens.img_projection.0"];

    [Fact]
    public void An_adapter_is_read_back_as_it_was_saved()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        Save(folder.Path);

        using var adapter = PeftAdapter.Load(folder.Path);

        Assert.Equal((2, 8.0, 4.0), (adapter.Settings.Rank, adapter.Settings.Alpha, adapter.Settings.Scale));
        Assert.Equal(Modules.Order(), adapter.Modules.Order());
        var b = zeros(5, 2);
        adapter.CopyTo("lm_head.lora_B.weight", b);
        Assert.Equal(3f, b.mean().item<float>());
        var config = JsonNode.Parse(File.ReadAllText(folder["adapter_config.json"]))!;
        Assert.Equal(["down_proj", "img_projection.0", "lm_head"], config["target_modules"]!.AsArray().Select(t => (string)t!));
        using var file = SafeTensorsFile.Open(folder["adapter_model.safetensors"]);
        Assert.Contains("base_model.model.model.layers.0.mlp.down_proj.lora_A.weight", file.Names);
    }

    [Fact]
    public void Every_unsupported_kind_of_adapter_is_reported_at_once()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        Save(folder.Path);
        var config = JsonNode.Parse(File.ReadAllText(folder["adapter_config.json"]))!;
        (config["fan_in_fan_out"], config["use_rslora"], config["peft_type"], config["r"], config["bias"]) = (true, true, "IA3", 4, "all");
        (config["init_lora_weights"], config["layer_replication"]) = ("pissa", new JsonArray(new JsonArray(0, 1)));
        File.WriteAllText(folder["adapter_config.json"], config.ToJsonString());

        var problems = Assert.Throws<InputException>(() => PeftAdapter.Load(folder.Path)).Problems;

        foreach (var word in (string[])["fan_in_fan_out", "use_rslora", "peft_type", "bias", "init_lora_weights", "layer_replication"])
            Assert.Single(problems, p => p.Contains(word, StringComparison.Ordinal));
        Assert.Equal(6, problems.Count(p => p.Contains("must have rank 4", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("r", "0", "r must be a whole number from 1 up, got 0")]
    [InlineData("r", "2.5", "r must be a whole number from 1 up, got 2.5")]
    [InlineData("r", "null", "r must be a whole number from 1 up, got null")]
    [InlineData("lora_alpha", "-1", "lora_alpha must be a number above 0, got -1")]
    [InlineData("lora_alpha", "\"8\"", "lora_alpha must be a number above 0, got \"8\"")]
    public void A_rank_or_an_alpha_that_is_none_is_the_one_problem(string key, string value, string reason)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        Save(folder.Path);
        Change(folder, key, JsonNode.Parse(value));

        Assert.Contains(reason, Assert.Single(Assert.Throws<InputException>(() => PeftAdapter.Load(folder.Path)).Problems));
    }

    [Theory]
    [InlineData("{\"r\": 2, \"r\": 3}")]
    [InlineData("[]")]
    [InlineData("{")]
    public void A_configuration_that_cannot_be_read_is_the_one_problem(string text)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        Save(folder.Path);
        File.WriteAllText(folder["adapter_config.json"], text);

        Assert.Contains("cannot be read", Assert.Single(Assert.Throws<InputException>(() => PeftAdapter.Load(folder.Path)).Problems));
    }

    [Fact]
    public void A_DoRA_adapter_is_read_back_as_it_was_saved()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        Save(folder.Path, dora: true);

        using var adapter = PeftAdapter.Load(folder.Path);

        Assert.Equal(new AdapterSettings(2, 8) { UsesDora = true, Dropout = 0.25, BaseModel = "the-base" }, adapter.Settings);
        Assert.Equal(Modules.Order(), adapter.Modules.Order());
        var magnitude = zeros(5);
        adapter.CopyTo("lm_head.lora_magnitude_vector", magnitude);
        Assert.Equal([0f, 1, 2, 3, 4], magnitude.data<float>().ToArray());
        using var file = SafeTensorsFile.Open(folder["adapter_model.safetensors"]);
        Assert.Equal(3 * Modules.Length, file.Names.Count);
        Assert.Contains("base_model.model.lm_head.lora_magnitude_vector", file.Names); // not .weight: so PEFT of all versions names it
    }

    [Fact]
    public void A_tensor_that_a_DoRA_adapter_lacks_is_named_once()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        Save(folder.Path); // plain LoRA
        Change(folder, "use_dora", true);

        var problems = Assert.Throws<InputException>(() => PeftAdapter.Load(folder.Path)).Problems;

        Assert.Equal(Modules.Length, problems.Count);
        Assert.All(Modules, module => Assert.Single(problems,
            problem => problem.Contains($"{module}.lora_magnitude_vector is missing", StringComparison.Ordinal)));
    }

    [Fact]
    public void Magnitudes_are_no_part_of_a_LoRA_adapter()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        Save(folder.Path, dora: true);
        Change(folder, "use_dora", false);

        var problems = Assert.Throws<InputException>(() => PeftAdapter.Load(folder.Path)).Problems;

        Assert.Equal(Modules.Length, problems.Count);
        Assert.All(problems, problem => Assert.Contains("lora_magnitude_vector is not part of a LoRA adapter", problem));
    }

    [Theory]
    [InlineData("lora_A.weight", new long[] { 3, 3 }, "must have rank 2, got [3, 3]")]
    [InlineData("lora_A.weight", new long[] { 2 }, "must have rank 2, got [2]")]
    [InlineData("lora_B.weight", new long[] { 5, 3 }, "must have rank 2, got [5, 3]")]
    [InlineData("lora_magnitude_vector", new long[] { 4 }, "must be [5], as lora_B has rows, got [4]")]
    [InlineData("lora_magnitude_vector", new long[] { 1, 5 }, "must be [5], as lora_B has rows, got [1, 5]")]
    public void A_DoRA_adapter_of_wrong_shapes_is_refused(string end, long[] shape, string reason)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        PeftAdapter.Save(folder.Path, new(2, 8) { UsesDora = true },
            [.. Tensors(dora: true).Select(t => t.Name == "lm_head." + end ? (t.Name, zeros(shape)) : t)]);

        var problem = Assert.Single(Assert.Throws<InputException>(() => PeftAdapter.Load(folder.Path)).Problems);

        Assert.Contains($"lm_head.{end} {reason}", problem);
    }

    [Fact]
    public void An_adapter_of_nothing_is_refused()
    {
        using var folder = new TemporaryFolder();
        PeftAdapter.Save(folder.Path, new(2, 8), []);
        Assert.Contains("holds no tensors", Assert.Throws<InputException>(() => PeftAdapter.Load(folder.Path)).Message);
    }

    [Fact]
    public void A_pickled_adapter_is_not_opened()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["adapter_model.bin"], "");
        Assert.Contains("pickle", Assert.Throws<InputException>(() => PeftAdapter.Load(folder.Path)).Message);
    }

    public static IEnumerable<TheoryDataRow<string?>> Adapters => ReferenceFolder.Folders("trajectories", "adapter/adapter_config.json");

    [Theory, MemberData(nameof(Adapters)), Trait("Category", "Parity")]
    public void An_adapter_of_the_original_is_read(string? name)
    {
        ReferenceFolder.SkipIfAbsent(name);
        var folder = ReferenceFolder.PathOf("trajectories", name!, "adapter");
        using var adapter = PeftAdapter.Load(folder);
        using var file = SafeTensorsFile.Open(Path.Combine(folder, "adapter_model.safetensors"));
        Assert.Equal(file.Names.Count(n => n.Contains(".lora_", StringComparison.Ordinal)), adapter.Names.Count);
        Assert.DoesNotContain(adapter.Names, n => n.Contains("base_layer", StringComparison.Ordinal));
    }

    /// <summary>Configurations may differ where PEFT's own default says the same.</summary>
    [Theory, MemberData(nameof(Adapters)), Trait("Category", "Parity")]
    public void An_adapter_of_the_original_is_saved_with_its_tensors_and_settings(string? name)
    {
        ReferenceFolder.SkipIfAbsent(name);
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var original = ReferenceFolder.PathOf("trajectories", name!, "adapter");
        using var adapter = PeftAdapter.Load(original);

        PeftAdapter.Save(folder.Path, adapter.Settings, [.. adapter.Names.Select(n => (n, Read(adapter, n)))]);

        using var expected = SafeTensorsFile.Open(Path.Combine(original, "adapter_model.safetensors"));
        using var saved = SafeTensorsFile.Open(folder["adapter_model.safetensors"]);
        Assert.Equal(expected.Names.Where(n => !n.Contains("base_layer", StringComparison.Ordinal)).Order(), saved.Names.Order());
        Assert.All(saved.Names, n => Assert.True(saved.View(n).bytes.SequenceEqual(expected.View(n).bytes), n));
        var (want, got) = (Config(original), Config(folder.Path));
        foreach (var (key, value) in want.Where(pair => pair.Key is not ("inference_mode" or "megatron_core")))
            Assert.True(JsonNode.DeepEquals(value, got[key]) || (!got.ContainsKey(key) && value is null or JsonObject { Count: 0 }),
                $"{key}: {value}, got {got[key]}");
    }

    private static Tensor Read(PeftAdapter adapter, string name)
    {
        var tensor = empty(adapter.Info(name).Shape);
        adapter.CopyTo(name, tensor);
        return tensor;
    }

    private static JsonObject Config(string folder) =>
        JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "adapter_config.json")))!.AsObject();

    private static void Change(TemporaryFolder folder, string key, JsonNode? value)
    {
        var config = Config(folder.Path);
        config[key] = value;
        File.WriteAllText(folder["adapter_config.json"], config.ToJsonString());
    }

    private static List<(string Name, Tensor Tensor)> Tensors(bool dora)
    {
        var tensors = new List<(string, Tensor)>();
        foreach (var module in Modules)
        {
            tensors.Add((module + ".lora_A.weight", full([2, 3], 1f)));
            tensors.Add((module + ".lora_B.weight", full([5, 2], 3f)));
            if (dora) tensors.Add((module + ".lora_magnitude_vector", arange(5, ScalarType.Float32)));
        }
        return tensors;
    }

    private static void Save(string folder, bool dora = false) =>
        PeftAdapter.Save(folder, new(2, 8) { UsesDora = dora, Dropout = 0.25, BaseModel = "the-base" }, Tensors(dora));
}
