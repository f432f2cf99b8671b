using BitMiracle.LibTiff.Classic;

namespace Phi3VCluster.Training.Processing;

/// <summary>How a page's samples are stored.</summary>
/// <param name="Samples">Of a pixel, those beyond its colours among them.</param>
/// <param name="IsPlanar">Each colour's samples lie together; else a pixel's.</param>
/// <param name="Orientation">1 to 8, as EXIF counts.</param>
internal sealed record TiffPage(
    int Width, int Height, int Samples, int Bits, bool IsFloat, bool IsPlanar, Photometric Colours, int Orientation)
{
    /// <summary>Whether their colours are converted here; the others' the library converts.</summary>
    public bool HasPlainColours => Colours switch
    {
        Photometric.MINISWHITE or Photometric.MINISBLACK => true,
        Photometric.RGB => Samples >= 3,
        Photometric.PALETTE => Bits <= 8,
        Photometric.SEPARATED => Samples >= 4,
        _ => false,
    } && (IsFloat ? Bits == 32 : Bits is 1 or 2 or 4 or 8 or 12 or 16 or 32);

    /// <summary>Samples of a pixel that lie together.</summary>
    public int SamplesTogether => IsPlanar ? 1 : Samples;

    /// <exception cref="InvalidDataException">It has no size, or its compression is not read.</exception>
    public static TiffPage Read(Tiff tiff)
    {
        int Number(TiffTag tag, int otherwise) => tiff.GetFieldDefaulted(tag) is { Length: > 0 } field ? field[0].ToInt() : otherwise;
        var (width, height, samples) = (Number(TiffTag.IMAGEWIDTH, 0), Number(TiffTag.IMAGELENGTH, 0), Number(TiffTag.SAMPLESPERPIXEL, 1));
        if (width < 1 || height < 1 || samples < 1) throw new InvalidDataException("it has no size");
        var compression = (Compression)Number(TiffTag.COMPRESSION, (int)Compression.NONE);
        if (!tiff.IsCodecConfigured(compression)) throw new InvalidDataException($"its compression ({compression}) is not read");
        var colours = tiff.GetField(TiffTag.PHOTOMETRIC) is { Length: > 0 } field ? (Photometric)field[0].ToInt()
            : samples >= 3 ? Photometric.RGB : Photometric.MINISWHITE;
        if (colours == Photometric.YCBCR && compression == Compression.JPEG)
        {
            tiff.SetField(TiffTag.JPEGCOLORMODE, JpegColorMode.RGB);
            colours = Photometric.RGB;
        }
        return new(width, height, samples, Number(TiffTag.BITSPERSAMPLE, 1),
            (SampleFormat)Number(TiffTag.SAMPLEFORMAT, 1) == SampleFormat.IEEEFP,
            Number(TiffTag.PLANARCONFIG, 1) == (int)PlanarConfig.SEPARATE && samples > 1, colours, Number(TiffTag.ORIENTATION, 1));
    }
}
