using Phi3VCluster.Spec;
using Phi3VCluster.Training.Methods;

namespace Phi3VCluster.Training.Tests.Methods;

public sealed class MethodTests
{
    private const string Tower = "model.vision_embed_tokens.img_processor.vision_model.";

    private static readonly TensorInfo[] Weights =
    [
        new("model.embed_tokens.weight", [100, 8]),
        new("model.vision_embed_tokens.sub_GN", [1, 1, 1, 16]),
        new(Tower + "embeddings.class_embedding", [4]),
        new(Tower + "embeddings.patch_embedding.weight", [4, 3, 14, 14]),
        new(Tower + "pre_layrnorm.weight", [4]),
        new(Tower + "encoder.layers.0.layer_norm1.weight", [4]),
        new(Tower + "encoder.layers.0.self_attn.q_proj.weight", [4, 4]),
        new(Tower + "encoder.layers.0.self_attn.q_proj.bias", [4]),
        new(Tower + "encoder.layers.0.mlp.fc1.weight", [16, 4]),
        new("model.vision_embed_tokens.img_projection.0.weight", [8, 16]),
        new("model.vision_embed_tokens.img_projection.0.bias", [8]),
        new("model.vision_embed_tokens.img_projection.2.weight", [8, 8]),
        new("model.layers.0.input_layernorm.weight", [8]),
        new("model.layers.0.self_attn.qkv_proj.weight", [24, 8]),
        new("model.layers.0.mlp.down_proj.weight", [8, 12]),
        new("lm_head.weight", [100, 8]),
    ];

    private static readonly string[] DecoderLinears = ["model.layers.0.self_attn.qkv_proj", "model.layers.0.mlp.down_proj", "lm_head"];

    public static TheoryData<string> Names() => [.. Catalog<ITrainingMethod>.All.Select(method => method.Name)];

    [Theory, MemberData(nameof(Names))]
    public void Every_method_trains_tensors_of_different_names_in_computation_order(string name)
    {
        var plan = Find(name).Plan(Weights, new MethodSpec());
        var places = plan.Trained.Select(trained => Array.FindIndex(Weights, IsOf(trained.Module))).ToArray();

        Assert.NotEmpty(plan.Trained);
        Assert.Distinct(plan.Trained.Select(trained => trained.Tensor.Name));
        Assert.All(places, place => Assert.True(place >= 0));
        Assert.Equal(places.Order(), places);
    }

    [Theory, MemberData(nameof(Names))]
    public void Every_method_starts_at_the_base_model(string name)
    {
        var trained = Find(name).Plan(Weights, new MethodSpec()).Trained;

        Assert.All(trained, tensor => Assert.Equal(tensor.Role == TrainedRole.AdapterA, tensor.InitialDeviation > 0));
        var second = trained.Where(tensor => tensor.Role == TrainedRole.AdapterB).Select(tensor => tensor.Module);
        Assert.Equal(trained.Where(tensor => tensor.Role == TrainedRole.AdapterA).Select(tensor => tensor.Module), second);
    }

    [Fact]
    public void Full_trains_all_and_decays_all_but_biases_and_the_tower_s_layer_norms()
    {
        var trained = Find("full").Plan(Weights, new MethodSpec()).Trained;

        Assert.Equal(Weights, trained.Select(tensor => tensor.Tensor));
        Assert.Equal(
            [Tower + "pre_layrnorm.weight", Tower + "encoder.layers.0.layer_norm1.weight", Tower + "encoder.layers.0.self_attn.q_proj.bias",
                "model.vision_embed_tokens.img_projection.0.bias"],
            trained.Where(tensor => !tensor.Decays).Select(tensor => tensor.Tensor.Name));
    }

    [Fact]
    public void Lora_gives_every_linear_layer_a_pair_of_matrices()
    {
        var plan = Find("lora").Plan(Weights, new MethodSpec { Rank = 4 });

        Assert.Equal(
            [Tower + "encoder.layers.0.self_attn.q_proj", Tower + "encoder.layers.0.mlp.fc1", "model.vision_embed_tokens.img_projection.0",
                "model.vision_embed_tokens.img_projection.2", .. DecoderLinears],
            plan.Trained.Select(tensor => tensor.Module).Distinct());
        var (a, b) = (plan.Trained[^4], plan.Trained[^3]);
        Assert.Equal("model.layers.0.mlp.down_proj.lora_A.weight", a.Tensor.Name);
        Assert.Equal("model.layers.0.mlp.down_proj.lora_B.weight", b.Tensor.Name);
        Assert.Equal((TrainedRole.AdapterA, 0.25, true), (a.Role, a.InitialDeviation, a.Decays));
        Assert.Equal((TrainedRole.AdapterB, 0.0, true), (b.Role, b.InitialDeviation, b.Decays));
        Assert.Equal([4, 12], a.Tensor.Shape);
        Assert.Equal([8, 4], b.Tensor.Shape);
    }

    [Theory]
    [InlineData(null, 2.0)]
    [InlineData(16.0, 2.0)]
    [InlineData(4.0, 0.5)]
    public void Adapters_are_scaled_by_alpha_over_rank(double? alpha, double scale) =>
        Assert.Equal(scale, Find("lora").Plan(Weights, new MethodSpec { Rank = 8, Alpha = alpha }).AdapterScale);

    [Fact]
    public void A_frozen_vision_model_gets_no_adapters()
    {
        var plan = Find("lora").Plan(Weights, new MethodSpec { FreezeVision = true });

        Assert.Equal(DecoderLinears, plan.Trained.Select(tensor => tensor.Module).Distinct());
    }

    [Fact]
    public void All_problems_of_an_adapter_are_told_at_once()
    {
        var error = Assert.Throws<InputException>(() => Find("lora").Plan([], new MethodSpec { Rank = 0, Alpha = -1 }));

        Assert.Equal(3, error.Problems.Count);
        Assert.Contains("method.rank: must be at least 1, got 0", error.Message);
        Assert.Contains("method.alpha: must be above 0, got -1", error.Message);
    }

    private static Predicate<TensorInfo> IsOf(string module) => weight => weight.Name == module || weight.Name == module + ".weight";

    private static ITrainingMethod Find(string name) => Catalog<ITrainingMethod>.Find(name, "test");
}
