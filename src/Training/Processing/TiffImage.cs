using System.Runtime.InteropServices;
using BitMiracle.LibTiff.Classic;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// TIFF, which Skia does not read: the first page, turned as its orientation says, in the colours that Pillow's <c>convert("RGB")</c>
/// gives. 16 bits are scaled to 8.
/// </summary>
internal static class TiffImage
{
    [ThreadStatic] private static string? _said;

    static TiffImage() => Tiff.SetErrorHandler(new Listener()); // of the whole library; the one it has writes to the console

    public static bool Begins(ReadOnlySpan<byte> file) => file.Length > 8
        && (file.StartsWith("II*\0"u8) || file.StartsWith("MM\0*"u8) || file.StartsWith("II+\0"u8) || file.StartsWith("MM\0+"u8));

    /// <summary>Of the picture once it is turned.</summary>
    public static (int Width, int Height) ReadSize(byte[] file, string description) => Read(file, description, tiff =>
    {
        var page = TiffPage.Read(tiff);
        ImageDecoder.CheckPixels(page.Width, page.Height, description);
        return ExifOrientation.SwapsSides(page.Orientation) ? (page.Height, page.Width) : (page.Width, page.Height);
    });

    public static RgbxImage Decode(byte[] file, string description) => Read(file, description, tiff =>
    {
        var page = TiffPage.Read(tiff);
        ImageDecoder.CheckPixels(page.Width, page.Height, description);
        var pixels = page.HasPlainColours ? TiffColours.Convert(tiff, page, new TiffRows(tiff, page).Read()) : Whole(tiff, page);
        return new RgbxImage(pixels, page.Width, page.Height).Turned(page.Orientation);
    });

    /// <summary>By the library's own conversion: YCbCr and the rarer colours.</summary>
    private static byte[] Whole(Tiff tiff, TiffPage page)
    {
        var raster = new int[page.Width * page.Height];
        if (!tiff.ReadRGBAImageOriented(page.Width, page.Height, raster, Orientation.TOPLEFT, true))
            throw new InvalidDataException("it is cut short or broken");
        return MemoryMarshal.AsBytes(raster.AsSpan()).ToArray(); // red in the lowest byte
    }

    private static T Read<T>(byte[] file, string description, Func<Tiff, T> use)
    {
        _said = null;
        try
        {
            using var tiff = Tiff.ClientOpen("tiff", "r", new MemoryStream(file, writable: false), new TiffStream())
                ?? throw new InvalidDataException("it has no directory that can be read");
            return use(tiff);
        }
        catch (InputException)
        {
            throw;
        }
        catch (Exception e) when (e is not OutOfMemoryException) // a broken file shows as any of them
        {
            var reason = e is InvalidDataException && _said is { } said ? $"{e.Message}: {said}" : e.Message;
            throw new InputException($"{description}: this TIFF cannot be decoded, {Shown.Value(reason)}; save it as PNG.");
        }
    }

    private sealed class Listener : TiffErrorHandler
    {
        public override void ErrorHandler(Tiff tif, string method, string format, params object[] args) => Note(format, args);

        public override void ErrorHandlerExt(Tiff tif, object clientData, string method, string format, params object[] args) =>
            Note(format, args);

        public override void WarningHandler(Tiff tif, string method, string format, params object[] args) { }

        public override void WarningHandlerExt(Tiff tif, object clientData, string method, string format, params object[] args) { }

        private static void Note(string format, object[] args)
        {
            try
            {
                _said ??= string.Format(System.Globalization.CultureInfo.InvariantCulture, format, args).TrimEnd('.');
            }
            catch (FormatException)
            {
                _said ??= format;
            }
        }
    }
}
