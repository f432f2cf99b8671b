using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Model;

namespace Phi3VCluster.Training.Tests.Methods;

/// <summary>The planner's sizes against the model's own list of weights and what each method makes of it.</summary>
public sealed class ReleasedModelTests
{
    private static readonly Phi3VConfig Config = new()
    {
        HiddenSize = 3072,
        IntermediateSize = 8192,
        LayerCount = 32,
        HeadCount = 32,
        KeyValueHeadCount = 32,
        VocabularySize = 32064,
        Vision = new(),
    };

    private static readonly TensorInfo[] Used =
        [.. Phi3VWeights.List(Config).Where(weight => !Phi3VWeights.IsUnused(weight.Name, Config))];

    public static IEnumerable<TheoryDataRow<string>> Methods =>
        Catalog<ITrainingMethod>.All.Select(method => new TheoryDataRow<string>(method.Name));

    [Fact]
    public void It_counts_every_weight_that_is_read() =>
        Assert.Equal(Used.Sum(weight => weight.ElementCount), ModelSizes.Released.Parameters);

    [Theory]
    [MemberData(nameof(Methods))]
    public void It_counts_what_a_method_trains_and_its_largest_unit(string method) => AssertCounts(new() { Kind = method });

    [Theory]
    [InlineData(128, false, false)]
    [InlineData(32, true, false)]
    [InlineData(8, true, true)]
    public void It_counts_adapters_of_every_form(int rank, bool freezeVision, bool dora) =>
        AssertCounts(new() { Kind = "lora", Rank = rank, FreezeVision = freezeVision, Dora = dora });

    [Fact]
    public void It_counts_what_qlora_keeps_in_four_bits()
    {
        var packed = Catalog<ITrainingMethod>.Find("qlora", "").Plan(Used, new() { Kind = "qlora" }).InFourBits;

        Assert.Equal(
            Used.Where(weight => packed.Contains(weight.Name)).Sum(weight => weight.ElementCount),
            ModelSizes.Released.Layers * ModelSizes.Released.LayerMatrices);
    }

    [Fact]
    public void It_leaves_the_room_that_growing_answers_may_take() =>
        Assert.Equal(MemoryEstimate.AnswerCaches, new TextGenerationOptions().MaxCacheBytes);

    private static void AssertCounts(MethodSpec spec)
    {
        var trained = Catalog<ITrainingMethod>.Find(spec.Kind, "").Plan(Used, spec).Trained.Select(t => t.Tensor).ToArray();
        var units = trained.GroupBy(tensor => Phi3VWeights.UnitOf(tensor.Name)).Select(unit => unit.Sum(tensor => tensor.ElementCount));

        Assert.Equal((trained.Sum(tensor => tensor.ElementCount), units.Max()), ModelSizes.Released.TrainedBy(spec));
    }
}
