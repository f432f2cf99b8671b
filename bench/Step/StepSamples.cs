using Phi3VCluster.Training;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Engine.Jobs;
using Phi3VCluster.Training.Processing;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Step;

/// <summary>Letter pages with a short question and a short answer. Random, and the same in every process.</summary>
internal static class StepSamples
{
    /// <summary>Crops on each side of a letter page.</summary>
    public const int Side = 4;

    /// <summary>What a letter page is cut into, without the global crop.</summary>
    public const int NumCrops = Side * Side;

    /// <param name="side">Crops on each side of a page.</param>
    /// <param name="allRows">Supervise every position, so that all of them need logits.</param>
    /// <param name="text">Its tokens; the image's stand in their midst.</param>
    public static IReadOnlyList<EncodedSample> Make(
        int count, int vocabulary, bool allRows = false, PageText? text = null, int side = Side)
    {
        var samples = Enumerable.Range(0, count).Select(index => SyntheticPages.Make($"{index}", vocabulary, side, side, text ?? new()));
        return [.. allRows
            ? samples.Select(sample => sample with { Labels = Array.ConvertAll(sample.InputIds, id => Math.Max(id, 0)) })
            : samples];
    }

    /// <summary>The samples for a program in another language: one safetensors file each, the crops already made.</summary>
    public static void Write(string folder, IReadOnlyList<EncodedSample> samples)
    {
        Directory.CreateDirectory(folder);
        foreach (var sample in samples)
        {
            using var scope = NewDisposeScope();
            SafeTensorsWriter.Write(Path.Combine(folder, $"sample-{sample.Id}.safetensors"),
            [
                ("input_ids", tensor(sample.InputIds)), ("labels", tensor(sample.Labels)),
                ("pixel_values", CropTensors.Make(sample.Images[0], CPU)), ("image_grid", tensor([(long)Side, Side])),
            ]);
        }
    }
}
