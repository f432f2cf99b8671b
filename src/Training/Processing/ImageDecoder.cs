using System.Runtime.InteropServices;
using Phi3VCluster.Spec;
using SkiaSharp;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// Image files to RGB as Pillow's <c>convert("RGB")</c> sees them: alpha is dropped and not blended, colour profiles are ignored, the first
/// frame of several is taken, TIFF is turned as it says and other files only where that is asked for.
/// </summary>
public static class ImageDecoder
{
    /// <summary>Where Pillow begins to warn of decompression bombs: decoded, 358 MB.</summary>
    public const long MaxPixels = 89_478_485;

    /// <summary>Width and height as stored, in pixels, without decoding.</summary>
    /// <exception cref="InputException">Not an image.</exception>
    public static (int Width, int Height) ReadSize(byte[] file, string description)
    {
        if (TiffDirectory.Begins(file)) return TiffImage.ReadSize(file, description);
        using var codec = Open(file, description);
        return (codec.Info.Width, codec.Info.Height);
    }

    /// <param name="upright">Turn the picture as its EXIF orientation says, as Pillow's <c>exif_transpose</c> does.</param>
    /// <exception cref="InputException">Not an image, cut short, too large, or of a kind that cannot be read.</exception>
    internal static RgbxImage Decode(byte[] file, string description, bool upright = false)
    {
        if (TiffDirectory.Begins(file)) return TiffImage.Decode(file, description);
        var image = DecodeAsStored(file, description);
        return upright ? image.Turned(ExifOrientation.Of(file)) : image;
    }

    private static RgbxImage DecodeAsStored(byte[] file, string description)
    {
        using var codec = Open(file, description);
        var (width, height) = (codec.Info.Width, codec.Info.Height);
        CheckPixels(width, height, description);
        // No colour space: Skia then leaves the stored numbers alone.
        var wanted = new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Unpremul, null);
        var pixels = GC.AllocateUninitializedArray<byte>(checked(width * height * 4));
        var pinned = GCHandle.Alloc(pixels, GCHandleType.Pinned);
        try
        {
            var result = codec.GetPixels(wanted, pinned.AddrOfPinnedObject());
            if (result != SKCodecResult.Success) throw new InputException(result == SKCodecResult.IncompleteInput
                ? $"{description}: the image is cut short; copy the file again."
                : $"{description}: the image cannot be decoded ({result}); save it as PNG or JPEG.");
        }
        finally
        {
            pinned.Free();
        }
        return new(pixels, width, height);
    }

    internal static void CheckPixels(int width, int height, string description)
    {
        if ((long)width * height > MaxPixels)
            throw new InputException($"{description}: {width}×{height} is more than {MaxPixels} pixels; scale the image down.");
    }

    private static SKCodec Open(byte[] file, string description)
    {
        using var data = SKData.CreateCopy(file);
        return SKCodec.Create(data)
            ?? throw new InputException($"{description}: not an image that can be read, {Beginning(file)}; use JPEG, PNG, WebP, BMP, GIF or plain TIFF.");
    }

    private static string Beginning(byte[] file) => file.Length == 0 ? "the file is empty"
        : $"got {file.Length} bytes that begin with {Convert.ToHexString(file.AsSpan(0, Math.Min(8, file.Length)))}";
}
