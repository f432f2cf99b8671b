using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// Plain TIFF 6.0 (Skia reads none): strips without compression, 8 bits a sample, grey or RGB, extra samples dropped; the first page,
/// turned as its orientation says.
/// </summary>
internal static class TiffImage
{
    private const ushort ImageWidth = 256, ImageLength = 257, BitsPerSample = 258, Compression = 259, Photometric = 262,
        StripOffsets = 273, SamplesPerPixel = 277, RowsPerStrip = 278, StripByteCounts = 279, PlanarConfiguration = 284;
    private const int WhiteIsZero = 0, BlackIsZero = 1, Rgb = 2;

    /// <summary>Of the picture once it is turned.</summary>
    public static (int Width, int Height) ReadSize(byte[] file, string description) => Read(file, description, tags =>
    {
        var header = Header(tags, description);
        return ExifOrientation.SwapsSides(header.Orientation) ? (header.Height, header.Width) : (header.Width, header.Height);
    });

    public static RgbxImage Decode(byte[] file, string description) => Read(file, description, tags => Decode(tags, description));

    private static T Read<T>(byte[] file, string description, Func<TiffDirectory, T> use)
    {
        try
        {
            return use(new(file));
        }
        catch (InvalidDataException e)
        {
            throw new InputException($"{description}: this TIFF cannot be decoded, {e.Message}; save it as PNG.");
        }
    }

    private static (int Width, int Height, int Samples, int Photometric, int Orientation) Header(TiffDirectory tags, string description)
    {
        var (width, height, samples) = ((int)tags.Value(ImageWidth), (int)tags.Value(ImageLength), (int)tags.Value(SamplesPerPixel, 1));
        ImageDecoder.CheckPixels(width, height, description);
        var photometric = (int)tags.Value(Photometric);
        var plain = tags.Value(Compression, 1) == 1 && tags.Value(PlanarConfiguration, 1) == 1
            && tags.Values(BitsPerSample, 1).All(bits => bits == 8)
            && photometric is WhiteIsZero or BlackIsZero or Rgb && samples >= (photometric == Rgb ? 3 : 1);
        if (!plain || width < 1 || height < 1) throw new InvalidDataException("only uncompressed 8-bit grey or RGB TIFF can be read");
        return (width, height, samples, photometric, (int)tags.Value(TiffDirectory.Orientation, 1));
    }

    private static RgbxImage Decode(TiffDirectory tags, string description)
    {
        var (width, height, samples, photometric, orientation) = Header(tags, description);
        var pixels = new byte[checked(width * height * 4)];
        var row = 0;
        foreach (var (offset, length) in tags.Values(StripOffsets).Zip(tags.Values(StripByteCounts)))
        {
            var rows = (int)Math.Min(tags.Value(RowsPerStrip, (uint)height), (uint)(height - row));
            if (length < (long)rows * width * samples) throw new InvalidDataException("a strip is too short");
            CopyStrip(tags.Bytes(offset, (long)rows * width * samples), pixels.AsSpan(row * width * 4), samples, photometric);
            row += rows;
        }
        if (row != height) throw new InvalidDataException($"{row} of {height} rows are there");
        return new RgbxImage(pixels, width, height).Turned(orientation);
    }

    private static void CopyStrip(ReadOnlySpan<byte> strip, Span<byte> pixels, int samples, int photometric)
    {
        for (int from = 0, to = 0; from < strip.Length; from += samples, to += 4)
        {
            var invert = photometric == WhiteIsZero ? 255 : 0;
            for (var c = 0; c < 3; c++) pixels[to + c] = (byte)(strip[from + (photometric == Rgb ? c : 0)] ^ invert);
        }
    }
}
