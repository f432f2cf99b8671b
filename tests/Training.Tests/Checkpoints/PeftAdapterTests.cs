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
        File.WriteAllText(folder["adapter_config.json"], config.ToJsonString());

        var problems = Assert.Throws<InputException>(() => PeftAdapter.Load(folder.Path)).Problems;

        foreach (var word in (string[])["fan_in_fan_out", "use_rslora", "peft_type", "bias"])
            Assert.Single(problems, p => p.Contains(word, StringComparison.Ordinal));
        Assert.Equal(6, problems.Count(p => p.Contains("must have rank 4", StringComparison.Ordinal)));
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

    private static void Save(string folder)
    {
        var tensors = new List<(string, Tensor)>();
        foreach (var module in Modules)
        {
            tensors.Add((module + ".lora_A.weight", full([2, 3], 1f)));
            tensors.Add((module + ".lora_B.weight", full([5, 2], 3f)));
        }
        PeftAdapter.Save(folder, new(2, 8), tensors);
    }
}
