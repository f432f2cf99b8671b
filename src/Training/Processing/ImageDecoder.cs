using System.Runtime.InteropServices;
using System.Text;
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

    private const int HeaderBytes = 64 << 10; // what comes before the picture, a camera's notes and preview among it

    /// <summary>
    /// Width and height that the decoded picture has, in pixels, from the file's header: it may yet turn out to be cut short.
    /// </summary>
    /// <param name="upright">As for decoding.</param>
    /// <exception cref="InputException">Not an image, too large, or of a kind that cannot be read.</exception>
    public static (int Width, int Height) ReadSize(byte[] file, string description, bool upright = false)
    {
        if (TiffImage.Begins(file)) return TiffImage.ReadSize(file, description);
        using var codec = Open(file, description);
        return Size(codec, file, description, upright);
    }

    /// <summary>The same, reading no more of the file than it takes.</summary>
    public static (int Width, int Height) ReadSize(IImageSource source)
    {
        var (start, upright) = (source.ReadBeginning(HeaderBytes), source.IsTurnedUpright);
        if (start.Length != HeaderBytes) return ReadSize(start, source.Description, upright);
        // A JPEG says all before its picture; other files may say behind it how they are to be turned.
        if (start is [0xFF, 0xD8, ..] || (start is [0x89, (byte)'P', (byte)'N', (byte)'G', ..] && !upright))
        {
            using var data = SKData.CreateCopy(start);
            using var codec = SKCodec.Create(data);
            if (codec is not null) return Size(codec, start, source.Description, upright);
        }
        return ReadSize(source.Read(), source.Description, upright);
    }

    /// <param name="upright">Turn the picture as its EXIF orientation says, as Pillow's <c>exif_transpose</c> does.</param>
    /// <exception cref="InputException">Not an image, cut short, too large, or of a kind that cannot be read.</exception>
    internal static RgbxImage Decode(byte[] file, string description, bool upright = false)
    {
        if (TiffImage.Begins(file)) return TiffImage.Decode(file, description);
        var image = DecodeAsStored(file, description);
        return upright ? image.Turned(ExifOrientation.Of(file)) : image;
    }

    private static RgbxImage DecodeAsStored(byte[] file, string description)
    {
        var gif = GifFile.Begins(file) ? GifFile.Read(file) : null;
        using var codec = Open(gif?.Opaque ?? file, description);
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
        if (gif is not null) FillOpen(pixels, gif.Fill);
        return new(pixels, width, height);
    }

    /// <summary>Gives pixels that no frame covers a colour.</summary>
    private static void FillOpen(byte[] pixels, byte[] colour)
    {
        for (var at = 0; at < pixels.Length; at += 4)
            if (pixels[at + 3] == 0) colour.CopyTo(pixels, at);
    }

    private static (int Width, int Height) Size(SKCodec codec, byte[] file, string description, bool upright)
    {
        var (width, height) = (codec.Info.Width, codec.Info.Height);
        CheckPixels(width, height, description);
        return upright && ExifOrientation.SwapsSides(ExifOrientation.Of(file)) ? (height, width) : (width, height);
    }

    internal static void CheckPixels(int width, int height, string description)
    {
        if ((long)width * height > MaxPixels)
            throw new InputException($"{description}: {width}×{height} is more than {MaxPixels} pixels; scale the image down.");
    }

    private static SKCodec Open(byte[] file, string description)
    {
        using var data = SKData.CreateCopy(file);
        if (SKCodec.Create(data) is { } codec) return codec;
        var isKnown = file.AsSpan().StartsWith(Jpeg) || file.AsSpan().StartsWith(Png); // by its name we would read it
        throw new InputException(!isKnown && FileSignature.Of(file) is { } kind
            ? $"{description}: is {kind.Name}; {kind.Advice}."
            : $"{description}: not an image that can be read, {Beginning(file)}; use JPEG, PNG, WebP, BMP, GIF or TIFF.");
    }

    private static ReadOnlySpan<byte> Jpeg => [0xFF, 0xD8];

    private static ReadOnlySpan<byte> Png => [0x89, (byte)'P'];

    private static string Beginning(byte[] file) => file.Length == 0 ? "the file is empty"
        : $"got {file.Length} bytes that begin with {Words(file.AsSpan(0, Math.Min(8, file.Length)))}";

    private static string Words(ReadOnlySpan<byte> bytes) => bytes.ContainsAnyExceptInRange((byte)' ', (byte)'~')
        ? Convert.ToHexString(bytes)
        : $"'{Encoding.ASCII.GetString(bytes)}'";
}
