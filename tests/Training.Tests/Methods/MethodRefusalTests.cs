using Phi3VCluster.Spec;
using Phi3VCluster.Training.Methods;

namespace Phi3VCluster.Training.Tests.Methods;

/// <summary>What methods train of a whole model, and which settings they refuse.</summary>
public sealed class MethodRefusalTests
{
    private const string Layer = "model.vision_embed_tokens.img_processor.vision_model.encoder.layers.0.";

    private static readonly IReadOnlyList<TensorInfo> Weights = Training.Model.Phi3VWeights.List(Model.TinyModel.Config);

    [Fact]
    public void Frozen_vision_trains_neither_vision_nor_token_embedding()
    {
        var trained = Find("frozen-vision").Plan(Weights, new()).Trained;

        Assert.Equal(Weights.Where(weight => !weight.Name.Contains("embed_tokens", StringComparison.Ordinal)),
            trained.Select(t => t.Tensor));
        Assert.All(trained, t => Assert.True(t.Part is ModelPart.Decoder or ModelPart.Head));
    }

    [Fact]
    public void Head_trains_the_final_norm_and_the_head() =>
        Assert.Equal(["model.norm.weight", "lm_head.weight"], Find("head").Plan(Weights, new()).Trained.Select(t => t.Tensor.Name));

    [Theory]
    [InlineData("full")]
    [InlineData("frozen-vision")]
    [InlineData("head")]
    public void Settings_of_adapters_are_refused_all_at_once_where_weights_are_trained(string method)
    {
        var spec = new MethodSpec { Adapter = "a", Targets = ["qkv_proj", "fc1"], Dropout = 0.25, Dora = true, DoubleQuantization = true };

        var problems = Assert.Throws<InputException>(() => Find(method).Plan(Weights, spec)).Problems;

        Assert.Equal(
            [("adapter", "a"), ("targets", "qkv_proj, fc1"), ("dropout", "0.25"), ("dora", "true"), ("doubleQuantization", "true")],
            problems.Select(problem => (problem.Split(':')[0]["method.".Length..], problem.Split("got ")[1].Split(';')[0])));
        Assert.All(problems, problem => Assert.Contains(method, problem));
    }

    [Fact]
    public void Full_refuses_a_frozen_vision_model() => Assert.StartsWith("method.freezeVision: ",
        Assert.Throws<InputException>(() => Find("full").Plan(Weights, new() { FreezeVision = true })).Message);

    [Theory]
    [InlineData("qkv_proj", "model.layers.0.self_attn.qkv_proj", "model.layers.1.self_attn.qkv_proj", "model.layers.2.self_attn.qkv_proj")]
    [InlineData("layers.1.mlp.down_proj", "model.layers.1.mlp.down_proj")]
    [InlineData("lm_head", "lm_head")]
    [InlineData("layers.0.mlp.fc1", Layer + "mlp.fc1")]
    [InlineData("model.layers.2.mlp.gate_up_proj", "model.layers.2.mlp.gate_up_proj")]
    [InlineData("img_projection.2", "model.vision_embed_tokens.img_projection.2")]
    public void A_target_is_a_whole_name_or_its_end_after_a_dot(string target, params string[] modules)
    {
        var plan = Find("lora").Plan(Weights, new() { Targets = [target] });

        Assert.Equal(modules, plan.Trained.Select(t => t.Module).Distinct());
        Assert.Equal(2 * modules.Length, plan.Trained.Count);
    }

    [Fact]
    public void A_map_that_two_targets_name_gets_one_adapter() =>
        Assert.Equal(2, Find("lora").Plan(Weights, new() { Targets = ["lm_head", "lm_head"] }).Trained.Count);

    [Fact]
    public void Unknown_targets_are_refused_with_those_there_are()
    {
        var spec = new MethodSpec { Targets = ["q", "kv_proj", "qkv_proj", "embed_tokens"] };

        var problems = Assert.Throws<InputException>(() => Find("lora").Plan(Weights, spec)).Problems;

        Assert.Equal(3, problems.Count);
        Assert.Equal("method.targets: matches no linear layer, got q; choose some of q_proj, k_proj, v_proj, out_proj, fc1, fc2, "
            + "img_projection.0, img_projection.2, qkv_proj, o_proj, gate_up_proj, down_proj, lm_head.", problems[0]);
        Assert.Contains("got kv_proj", problems[1]);
        Assert.Contains("got embed_tokens", problems[2]);
    }

    [Fact]
    public void A_target_in_the_frozen_vision_model_is_none()
    {
        var spec = new MethodSpec { Targets = ["fc1"], FreezeVision = true };

        Assert.Equal("method.targets: matches no linear layer outside the frozen vision model, got fc1; "
            + "choose some of qkv_proj, o_proj, gate_up_proj, down_proj, lm_head.",
            Assert.Throws<InputException>(() => Find("lora").Plan(Weights, spec)).Message);
    }

    [Fact]
    public void Qlora_keeps_the_decoder_s_linear_maps_in_4_bits_whatever_gets_adapters()
    {
        var plan = Find("qlora").Plan(Weights, new() { DoubleQuantization = true, Targets = ["lm_head"] });

        Assert.Equal(Model.TinyAdapters.InDecoder.Select(module => module + ".weight").Order(), plan.InFourBits.Order());
        Assert.Equal(["lm_head"], plan.Trained.Select(t => t.Module).Distinct());
        Assert.Empty(Find("lora").Plan(Weights, new()).InFourBits);
    }

    [Fact]
    public void Lora_quantises_nothing() => Assert.StartsWith("method.doubleQuantization: lora ",
        Assert.Throws<InputException>(() => Find("lora").Plan(Weights, new() { DoubleQuantization = true })).Message);

    [Fact]
    public void Dora_adds_a_magnitude_behind_each_pair()
    {
        var plan = Find("lora").Plan(Weights, new() { Dora = true, Targets = ["down_proj"] });

        Assert.Equal([TrainedRole.AdapterA, TrainedRole.AdapterB, TrainedRole.AdapterMagnitude], plan.Trained.Take(3).Select(t => t.Role));
        Assert.Equal("model.layers.0.mlp.down_proj.lora_magnitude_vector", plan.Trained[2].Tensor.Name);
        Assert.Equal([16], plan.Trained[2].Tensor.Shape);
    }

    private static ITrainingMethod Find(string name) => Catalog<ITrainingMethod>.Find(name, "test");
}
