namespace Phi3VCluster.Training;

/// <summary>A sample as ids and pixels: what Processing makes of a dataset's sample and Engine hands to the model.</summary>
/// <param name="Id">The dataset's own name for the sample.</param>
/// <param name="InputIds">Token ids; image k of a turn stands as a run of −k, one for each of its image tokens.</param>
/// <param name="Labels">Same length: −100 on prompts, the id itself on answers.</param>
/// <param name="Images">In the order of their placeholder runs.</param>
public sealed record EncodedSample(string Id, long[] InputIds, long[] Labels, IReadOnlyList<EncodedImage> Images)
{
    /// <summary>What it takes while it waits.</summary>
    public long Bytes => (InputIds.Length + Labels.Length) * (long)sizeof(long) + Images.Sum(image => (long)image.Rgb.Length);
}

/// <summary>An image resized and padded to whole crops, still 8-bit: a quarter of the float crops' memory while it waits.</summary>
/// <param name="Rgb">Height · width · 3 bytes, rows first, channels last.</param>
/// <param name="Height">Pixels, a multiple of 336.</param>
/// <param name="Width">Pixels, a multiple of 336.</param>
/// <param name="TokenCount">Image tokens the model makes of it: (h·w+1)·144 + 1 + (h+1)·12 for h × w crops.</param>
public sealed record EncodedImage(byte[] Rgb, int Height, int Width, int TokenCount)
{
    /// <summary>Side of a crop, pixels.</summary>
    public const int CropSize = 336;

    /// <summary>Crops that the tower sees: the tiles and the whole picture, which are one where there is one tile.</summary>
    public int CropCount => Height / CropSize * (Width / CropSize) is var tiles and > 1 ? tiles + 1 : 1;
}
