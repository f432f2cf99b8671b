using System.Text.Json.Nodes;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Model;

namespace Phi3VCluster.Training.Tests.Model;

public sealed class Phi3VConfigTests
{
    private const string Sound = """
        {
          "model_type": "phi3_v", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
          "num_attention_heads": 16, "vocab_size": 320,
          "embd_layer": {"embedding_cls": "image", "hd_transform_order": "sub_glb", "projection_cls": "mlp",
            "use_hd_transform": true, "with_learnable_separator": true},
          "img_processor": {"name": "clip_vision_model",
            "model_name": "openai/clip-vit-large-patch14-336", "image_dim_out": 1024, "num_img_tokens": 144},
          "rope_scaling": {"type": "longrope", "short_factor": [1, 1.5], "long_factor": [2, 3]}
        }
        """;

    [Fact]
    public void What_a_file_leaves_out_is_as_in_the_original()
    {
        var config = Phi3VConfig.Parse(Sound, "config.json");
        Assert.Equal((16, 32000L), (config.KeyValueHeadCount, config.PaddingId));
        Assert.Equal((4096, 131072), (config.OriginalMaxPositions, config.MaxPositions));
        Assert.Equal(new VisionConfig(), config.Vision);
        Assert.Equal(RopeKind.Su, config.RopeScaling!.Kind);
    }

    [Fact]
    public void Every_unsupported_setting_is_reported_at_once()
    {
        var json = JsonNode.Parse(Sound)!;
        json["model_type"] = "llama";
        json["embd_layer"]!["hd_transform_order"] = "glb_sub";
        json["embd_layer"]!["with_learnable_separator"] = false;
        json["rope_scaling"]!["type"] = "linear";
        json["rope_scaling"]!["long_factor"] = new JsonArray(1, 2, 3);
        json["attention_dropout"] = 0.1;
        json["hidden_size"] = "wide";

        var problems = Assert.Throws<InputException>(() => Phi3VConfig.Parse(json.ToJsonString(), "config.json")).Problems;

        string[] wrong =
        [
            "model_type", "embd_layer.hd_transform_order", "embd_layer.with_learnable_separator", "rope_scaling.type",
            "rope_scaling.long_factor", "attention_dropout", "hidden_size",
        ];
        foreach (var name in wrong)
            Assert.Single(problems, problem => problem.StartsWith($"config.json: {name} ", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("{}")]
    public void What_is_no_configuration_is_refused(string json) =>
        Assert.Throws<InputException>(() => Phi3VConfig.Parse(json, "config.json"));

    [Fact]
    public void Sizes_that_do_not_go_together_are_refused()
    {
        var json = JsonNode.Parse(Sound)!;
        json["num_key_value_heads"] = 3;
        json["img_processor"]!["image_dim_out"] = 512;
        var problems = Assert.Throws<InputException>(() => Phi3VConfig.Parse(json.ToJsonString(), "config.json")).Problems;
        Assert.Equal(2, problems.Count);
    }

    [Theory]
    [InlineData(null, "longrope", RopeKind.Su)]
    [InlineData("su", "longrope", RopeKind.Su)]
    [InlineData("longrope", "su", RopeKind.Su)]
    [InlineData(null, "yarn", RopeKind.Yarn)]
    public void The_later_name_of_the_scalings_type_is_read(string? type, string ropeType, RopeKind kind)
    {
        var json = Scaled(type, ropeType);
        Assert.Equal(kind, Phi3VConfig.Parse(json.ToJsonString(), "config.json").RopeScaling!.Kind);
    }

    [Theory]
    [InlineData("longrope", "yarn", "rope_type must be rope_scaling.type longrope, got yarn")]
    [InlineData(null, "dynamic", "is not supported, got dynamic")]
    [InlineData(null, null, "is not supported, got nothing")]
    public void Scalings_that_contradict_each_other_or_are_unknown_are_refused(string? type, string? ropeType, string reason) =>
        Assert.Contains(reason,
            Assert.Throws<InputException>(() => Phi3VConfig.Parse(Scaled(type, ropeType).ToJsonString(), "config.json")).Message);

    [Fact]
    public void The_default_scaling_is_none() =>
        Assert.Null(Phi3VConfig.Parse(Scaled(null, "default").ToJsonString(), "config.json").RopeScaling);

    [Fact]
    public void Weights_that_are_quantised_already_are_the_one_problem()
    {
        var json = JsonNode.Parse(Sound)!;
        (json["quantization_config"], json["model_type"]) = (new JsonObject { ["quant_method"] = "bitsandbytes" }, "llama");

        var problem = Assert.Single(Assert.Throws<InputException>(() => Phi3VConfig.Parse(json.ToJsonString(), "config.json")).Problems);

        Assert.Contains("quantised already (quantization_config, bitsandbytes)", problem);
    }

    [Fact]
    public void A_git_lfs_pointer_is_named()
    {
        const string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n";
        Assert.Contains("git lfs pull", Assert.Throws<InputException>(() => Phi3VConfig.Parse(pointer, "config.json")).Message);
    }

    [Fact]
    public void A_long_list_of_a_wrong_shape_is_shown_on_one_line_and_cut()
    {
        var json = JsonNode.Parse(Sound)!;
        json["rope_scaling"]!["long_factor"] = new JsonArray([.. Enumerable.Range(0, 200).Select(i => (JsonNode)i)]);

        var indented = json.ToJsonString(new() { WriteIndented = true });
        var text = Assert.Throws<InputException>(() => Phi3VConfig.Parse(indented, "config.json")).Message;

        Assert.DoesNotContain('\n', text);
        Assert.InRange(text.Length, 0, 250);
    }

    private static JsonNode Scaled(string? type, string? ropeType)
    {
        var json = JsonNode.Parse(Sound)!;
        json["rope_scaling"]!.AsObject().Remove("type");
        if (type is not null) json["rope_scaling"]!["type"] = type;
        if (ropeType is not null) json["rope_scaling"]!["rope_type"] = ropeType;
        return json;
    }
}
