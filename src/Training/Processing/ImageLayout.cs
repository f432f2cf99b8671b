using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>How an image of some size is scaled and padded to whole crops (the HD transform), and how many tokens it becomes.</summary>
/// <param name="ResizedWidth">Size of the picture itself, pixels.</param>
/// <param name="PaddedWidth">Size with white borders along the short side, pixels; a multiple of 336.</param>
public sealed record ImageLayout(int ResizedWidth, int ResizedHeight, int PaddedWidth, int PaddedHeight)
{
    /// <summary>Side of a crop, pixels.</summary>
    public const int CropSize = 336;

    public int CropColumns => PaddedWidth / CropSize;
    public int CropRows => PaddedHeight / CropSize;

    /// <summary>
    /// (h·w + 1)·144 + 1 + (h + 1)·12 for h × w crops: 12 × 12 tokens a crop and the global one, a separator a line and one between.
    /// </summary>
    public int TokenCount => (CropRows * CropColumns + 1) * 144 + 1 + (CropRows + 1) * 12;

    /// <summary>
    /// The largest scale s, in crops along the long side, with s · ceil(s / ratio) crops within <paramref name="numCrops"/>.
    /// </summary>
    /// <exception cref="InputException">The long side is so much longer that nothing of the short one would be left.</exception>
    public static ImageLayout For(int width, int height, int numCrops, string description)
    {
        var (longSide, shortSide) = (Math.Max(width, height), Math.Min(width, height));
        var ratio = (double)longSide / shortSide;
        var scale = 1;
        while ((scale + 1) * Math.Ceiling((scale + 1) / ratio) <= numCrops) scale++;
        var resizedLong = CropSize * scale;
        var resizedShort = (int)(resizedLong / ratio);
        if (resizedShort < 1)
            throw new InputException($"{description}: {width}×{height} is too narrow, one side is more than {resizedLong} times the other; "
                + "cut the image or leave it out.");
        var paddedShort = (resizedShort + CropSize - 1) / CropSize * CropSize;
        return width < height
            ? new(resizedShort, resizedLong, paddedShort, resizedLong)
            : new(resizedLong, resizedShort, resizedLong, paddedShort);
    }
}
