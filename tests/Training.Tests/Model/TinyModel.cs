using Phi3VCluster.Training.Model;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>A random model small enough to run in milliseconds, the same on every run.</summary>
internal static class TinyModel
{
    public static Phi3VConfig Config { get; } = new()
    {
        HiddenSize = 16,
        IntermediateSize = 24,
        LayerCount = 3,
        HeadCount = 4,
        KeyValueHeadCount = 2,
        VocabularySize = 50,
        PaddingId = 49,
        MaxPositions = 4096,
        OriginalMaxPositions = 12,
        RopeScaling = new(RopeKind.Su, [1, 1.1], [1.5, 4]),
        Vision = new() { HiddenSize = 8, IntermediateSize = 12, LayerCount = 3, HeadCount = 2 },
    };

    public static ModelWeights Weights(Predicate<string>? trained = null)
    {
        var weights = new ModelWeights();
        foreach (var info in Phi3VWeights.List(Config))
        {
            var value = Random(info.Name, info.Shape) * 0.3;
            if (info.Name.EndsWith("norm.weight", StringComparison.Ordinal)) value += 1;
            weights[info.Name] = value.requires_grad_(trained?.Invoke(info.Name) ?? false);
        }
        return weights;
    }

    /// <summary>Values that depend on the name alone: tests run beside each other and must not share a generator.</summary>
    public static Tensor Random(string name, params long[] shape)
    {
        using var generator = new Generator((ulong)name.Aggregate(17, (hash, letter) => unchecked(hash * 31 + letter)));
        return randn(shape, generator: generator);
    }

    public static ImageCrops Image(int rows, int columns, int crops) =>
        new(Random($"image {rows} {columns}", crops, 3, 336, 336), rows, columns);

    public static ModelInput Text(int length) => new([.. Enumerable.Range(1, length).Select(i => i * 7L % 49)],
        [.. Enumerable.Range(1, length).Select(i => i > length / 2 ? i * 7L % 49 : ModelInput.Ignored)], []);

    /// <summary>Two images in two runs of places, and two answers.</summary>
    public static ModelInput TwoImages()
    {
        ImageCrops[] images = [Image(1, 1, 1), Image(1, 2, 3)];
        long[] ids = [3, 4, .. Places(images[0]), 5, 6, 49, 8, .. Places(images[1]), 9, 10, 11, 12];
        var labels = ids.Select((id, i) => i >= ids.Length - 3 || id is 6 or 49 ? id : ModelInput.Ignored);
        return new(ids, [.. labels], images);
    }

    private static IEnumerable<long> Places(ImageCrops image) => Enumerable.Repeat(-1L, image.TokenCount);

    /// <summary>A pass over one sequence; its loss.</summary>
    public static double ForwardBackward(this Phi3VModel model, ModelInput input, double weight) =>
        model.ForwardBackward([input], [weight]).Means[0];
}
