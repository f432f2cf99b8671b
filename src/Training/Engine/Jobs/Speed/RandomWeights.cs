using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Model;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>Weights of any size without a file: drawn where they are to be, as transformers initialises them.</summary>
internal sealed class RandomWeights(Phi3VConfig config) : IBaseWeights
{
    private const double Deviation = 0.02;

    public static Phi3VConfig Released { get; } = ConfigOf(ModelSizes.Released);

    public Phi3VConfig Config => config;

    public IReadOnlyList<TensorInfo> Used { get; } =
        [.. Phi3VWeights.List(config).Where(weight => !Phi3VWeights.IsUnused(weight.Name, config))];

    public static Phi3VConfig ConfigOf(ModelSizes sizes) => new()
    {
        HiddenSize = (int)sizes.Width,
        IntermediateSize = (int)sizes.Intermediate,
        LayerCount = (int)sizes.Layers,
        HeadCount = (int)sizes.Heads,
        KeyValueHeadCount = (int)sizes.KeyValueHeads,
        VocabularySize = (int)sizes.Vocabulary,
        Vision = new()
        {
            HiddenSize = (int)sizes.TowerWidth,
            IntermediateSize = (int)sizes.TowerIntermediate,
            HeadCount = (int)sizes.TowerHeads,
            LayerCount = (int)sizes.TowerLayers + 1, // the last one never runs
        },
    };

    public Tensor Read(TensorInfo weight, Tensor destination)
    {
        using var quiet = no_grad();
        using var values = destination.detach();
        if (weight.Shape.Length > 1) values.normal_(0, Deviation);
        else if (weight.Name.EndsWith("bias", StringComparison.Ordinal)) values.zero_();
        else nn.init.ones_(values);
        return destination;
    }
}
