using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Processing;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>From samples on the host to the model's inputs on the rank's device. Everything is made in the current dispose scope.</summary>
/// <param name="features">Keeps what a frozen vision model makes of an image; null computes it each time.</param>
/// <param name="dropoutSeed">Draws what adapters drop; null where nothing is dropped.</param>
internal sealed class ModelInputs(Phi3VModel model, RankCompute compute, FeatureCache? features = null, int? dropoutSeed = null)
{
    public ModelInput ForTraining(EncodedSample sample, int epoch, CancellationToken stop = default) => For(sample, stop) with
    {
        DropoutSeed = dropoutSeed is { } seed ? SplitMix64.For("dropout", seed, epoch, sample.Id).Next() : null,
    };

    public ModelInput For(EncodedSample sample, CancellationToken stop = default) =>
        model.VisionIsTrained ? WithCrops(sample, compute.Device) : WithTokens(sample, stop);

    /// <summary>With the vision model's output, made here without gradients: several passes may use it.</summary>
    public ModelInput WithTokens(EncodedSample sample, CancellationToken stop = default)
    {
        Tensor[] tokens = [.. sample.Images.Select(image => Tokens(image, stop))];
        return new(sample.InputIds, sample.Labels, []) { ImageTokens = tokens.Length > 1 ? cat(tokens, 0) : tokens.FirstOrDefault() };
    }

    /// <summary>For a model that is to see the images itself.</summary>
    public static ModelInput WithCrops(EncodedSample sample, Device device) =>
        new(sample.InputIds, sample.Labels, [.. sample.Images.Select(image => Crops(image, device))]);

    private static ImageCrops Crops(EncodedImage image, Device device) =>
        new(CropTensors.Make(image, device), image.Height / EncodedImage.CropSize, image.Width / EncodedImage.CropSize);

    private Tensor Tokens(EncodedImage image, CancellationToken stop)
    {
        if (features is null) return Compute(image, stop);
        var key = FeatureCache.KeyOf(image);
        if (features.Find(key) is { } known) return FromBytes(known, image.TokenCount);
        var tokens = Compute(image, stop);
        features.Add(key, ToBytes(tokens));
        return tokens;
    }

    private Tensor Compute(EncodedImage image, CancellationToken stop)
    {
        using var scope = NewDisposeScope();
        return model.ImageTokens(Crops(image, compute.Device), stop).MoveToOuterDisposeScope();
    }

    private static unsafe byte[] ToBytes(Tensor tokens)
    {
        using var host = tokens.cpu().contiguous();
        return new ReadOnlySpan<byte>((void*)TensorMemory.Pointer(host), checked((int)(host.numel() * host.ElementSize))).ToArray();
    }

    private unsafe Tensor FromBytes(byte[] bytes, long tokenCount)
    {
        using var scope = NewDisposeScope();
        var host = empty([tokenCount, model.HiddenSize], compute.Type);
        bytes.CopyTo(new Span<byte>((void*)TensorMemory.Pointer(host), bytes.Length));
        return host.to(compute.Device).MoveToOuterDisposeScope();
    }
}
