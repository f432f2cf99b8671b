using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Processing;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>From a sample on the host to the model's input on the rank's device.</summary>
internal static class ModelInputs
{
    private const int CropSize = 336;

    /// <summary>Crops are made on the device, in the current dispose scope.</summary>
    public static ModelInput From(EncodedSample sample, Device device) => new(sample.InputIds, sample.Labels,
        [.. sample.Images.Select(image => new ImageCrops(CropTensors.Make(image, device), image.Height / CropSize, image.Width / CropSize))]);
}
