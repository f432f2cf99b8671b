using Phi3VCluster.Training;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Model;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Gpu;

/// <summary>Weights of the released models' size without a file: drawn where they are to be, as transformers initialises them.</summary>
internal sealed class RandomWeights(Phi3VConfig config) : IBaseWeights
{
    private const double Deviation = 0.02;

    public static Phi3VConfig Released { get; } = new()
    {
        HiddenSize = 3072,
        IntermediateSize = 8192,
        LayerCount = 32,
        HeadCount = 32,
        KeyValueHeadCount = 32,
        VocabularySize = 32064,
        Vision = new(),
    };

    public Phi3VConfig Config => config;

    public IReadOnlyList<TensorInfo> Used { get; } = [.. Phi3VWeights.List(config).Where(weight => !Phi3VWeights.IsUnused(weight.Name, config))];

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
