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
}
