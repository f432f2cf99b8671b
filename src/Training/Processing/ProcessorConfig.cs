using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>What a checkpoint says about its images, in <c>preprocessor_config.json</c>.</summary>
public static class ProcessorConfig
{
    public const int UsualCrops = 16;

    /// <summary>Most crops of an image, the global one not counted: <c>num_crops</c>, or 16 where the file or the key is missing.</summary>
    /// <exception cref="InputException">Not JSON, or not a count.</exception>
    public static int NumCrops(string folder) => CropsOf(folder) ?? UsualCrops;

    /// <summary>
    /// As <see cref="NumCrops"/>, of a checkpoint or an adapter, which carries what it was trained with; null if it does not say.
    /// </summary>
    /// <exception cref="InputException">Not JSON, or not a count.</exception>
    public static int? CropsOf(string folder)
    {
        var path = Path.Combine(folder, "preprocessor_config.json");
        if (!File.Exists(path)) return null;
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllText(path));
            if (!document.RootElement.TryGetProperty("num_crops", out var crops)) return null;
            return crops.ValueKind == JsonValueKind.Number && crops.TryGetInt32(out var count) && count > 0
                ? count
                : throw new InputException($"{path}: num_crops must be a whole number above 0, got {crops.GetRawText()}; "
                    + "mend it, or give --num-crops (of a run, model.numCrops).");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new InputException($"{path}: " + (FileSignature.InPlaceOfModel(path)
                ?? $"is not a JSON object ({error.Message}); copy the file from the original checkpoint."));
        }
    }
}
