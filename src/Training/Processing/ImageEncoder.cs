using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>Image files to 8-bit pictures of whole crops: decode, resize as Pillow does, pad with white.</summary>
public static class ImageEncoder
{
    private const byte White = 255;

    /// <param name="numCrops">Most crops, the global one not counted.</param>
    /// <param name="description">Names the image in messages.</param>
    /// <exception cref="InputException">The image cannot be decoded, or is too narrow to be scaled.</exception>
    public static EncodedImage Encode(IImageSource source, int numCrops, string description) =>
        Encode(ImageDecoder.Decode(source.Read(), description, source.IsTurnedUpright), numCrops, description);

    /// <inheritdoc cref="Encode(IImageSource, int, string)"/>
    /// <param name="file">The image file's bytes.</param>
    public static EncodedImage Encode(byte[] file, int numCrops, string description) =>
        Encode(ImageDecoder.Decode(file, description), numCrops, description);

    internal static EncodedImage Encode(RgbxImage image, int numCrops, string description)
    {
        var layout = ImageLayout.For(image.Width, image.Height, numCrops, description);
        // The original lays a portrait on its side, resizes and turns it back: the same as resizing its rows first.
        var resized = PillowResize.Bilinear(image, layout.ResizedWidth, layout.ResizedHeight, rowsFirst: image.Width < image.Height);
        return new(Pad(resized, layout), layout.PaddedHeight, layout.PaddedWidth, layout.TokenCount);
    }

    private static byte[] Pad(RgbxImage image, ImageLayout layout)
    {
        var rgb = GC.AllocateUninitializedArray<byte>(layout.PaddedHeight * layout.PaddedWidth * 3);
        rgb.AsSpan().Fill(White);
        var (left, top) = ((layout.PaddedWidth - image.Width) / 2, (layout.PaddedHeight - image.Height) / 2);
        for (var y = 0; y < image.Height; y++)
        {
            var from = image.Pixels.AsSpan(y * image.Width * 4, image.Width * 4);
            var to = rgb.AsSpan(((y + top) * layout.PaddedWidth + left) * 3, image.Width * 3);
            for (int source = 0, target = 0; source < from.Length; source += 4, target += 3)
                (to[target], to[target + 1], to[target + 2]) = (from[source], from[source + 1], from[source + 2]);
        }
        return rgb;
    }
}
