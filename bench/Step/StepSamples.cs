using System.Runtime.InteropServices;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Processing;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Step;

/// <summary>Letter pages with a short question and a short answer. Random, and the same in every process.</summary>
internal static class StepSamples
{
    /// <summary>What a letter page is cut into, without the global crop.</summary>
    public const int NumCrops = Rows * Columns;

    private const int Rows = 4, Columns = 4, CropSize = 336, Ignored = -100;
    private const int ImageTokens = (Rows * Columns + 1) * 144 + 1 + (Rows + 1) * 12; // 2509
    private const int FirstId = 3;

    /// <param name="allRows">Supervise every position, so that all of them need logits.</param>
    /// <param name="text">Its tokens; the image's stand in their midst.</param>
    public static IReadOnlyList<EncodedSample> Make(int count, int vocabulary, bool allRows = false, PageText? text = null)
    {
        text ??= new();
        var samples = Enumerable.Range(0, count).Select(index => Make(SplitMix64.For("step", seed: 1, epoch: 0, $"{index}"), $"{index}", vocabulary, text));
        return [.. allRows ? samples.Select(sample => sample with { Labels = Array.ConvertAll(sample.InputIds, id => Math.Max(id, 0)) }) : samples];
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
                ("pixel_values", CropTensors.Make(sample.Images[0], CPU)), ("image_grid", tensor([(long)Rows, Columns])),
            ]);
        }
    }

    private static EncodedSample Make(SplitMix64 random, string id, int vocabulary, PageText page)
    {
        var text = new long[page.Before + page.After + page.Answer];
        for (var i = 0; i < text.Length; i++) text[i] = FirstId + random.Below(vocabulary - FirstId);
        long[] ids = [.. text[..page.Before], .. Enumerable.Repeat(-1L, ImageTokens), .. text[page.Before..]];
        long[] labels = [.. Enumerable.Repeat((long)Ignored, ids.Length - page.Answer), .. text[^page.Answer..]];
        var pixels = new ulong[Rows * CropSize * Columns * CropSize * 3 / sizeof(ulong)];
        for (var i = 0; i < pixels.Length; i++) pixels[i] = random.Next();
        var rgb = MemoryMarshal.AsBytes<ulong>(pixels).ToArray();
        return new(id, ids, labels, [new(rgb, Rows * CropSize, Columns * CropSize, ImageTokens)]);
    }
}

/// <summary>Tokens of the question before and after the image, and of the answer.</summary>
internal sealed record PageText(int Before = 5, int After = 20, int Answer = 6);
