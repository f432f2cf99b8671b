using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Tests.Fuzz;
using SkiaSharp;

namespace Phi3VCluster.Training.Tests.Processing;

public sealed class ExifTests
{
    [Theory]
    [InlineData(1, "abc def")]
    [InlineData(2, "cba fed")]
    [InlineData(3, "fed cba")]
    [InlineData(4, "def abc")]
    [InlineData(5, "ad be cf")]
    [InlineData(6, "da eb fc")]
    [InlineData(7, "fc eb da")]
    [InlineData(8, "cf be ad")]
    [InlineData(0, "abc def")]
    [InlineData(9, "abc def")]
    public void A_picture_is_turned_as_its_orientation_means(ushort orientation, string rows)
    {
        var png = SmallPng.Write(3, 2, 8, SmallPng.Grey, [.. "abcdef"u8]);
        foreach (var bigEndian in new[] { false, true })
        {
            var file = SmallExif.InPng(png, "eXIf", SmallExif.Block(orientation, bigEndian));
            Assert.Equal(rows, Rows(ImageDecoder.Decode(file, "drawn", upright: true)));
            Assert.Equal("abc def", Rows(ImageDecoder.Decode(file, "drawn")));
        }
    }

    [Theory]
    [InlineData(6)]
    [InlineData(7)]
    public void A_jpeg_is_turned_after_it_is_decoded(ushort orientation)
    {
        var jpeg = ImageFiles.Encoded(SKEncodedImageFormat.Jpeg);
        var file = SmallExif.InJpeg(jpeg, SmallExif.Block(orientation, bigEndian: true));

        var turned = ImageDecoder.Decode(file, "photo", upright: true);

        var stored = ImageDecoder.Decode(jpeg, "photo");
        Assert.Equal((stored.Height, stored.Width), (turned.Width, turned.Height));
        Assert.Equal(stored.Turned(orientation).Pixels, turned.Pixels);
        Assert.Equal(stored.Pixels, ImageDecoder.Decode(file, "photo").Pixels);
    }

    [Fact]
    public void A_tiff_is_always_turned_as_pillow_does()
    {
        byte[] rgb = [.. "aaabbbcccdddeeefff"u8];

        Assert.Equal("da eb fc", Rows(ImageDecoder.Decode(SmallTiff.Write(rgb, 3, 2, bigEndian: true, orientation: 6), "t.tif")));
    }

    [Fact]
    public void The_orientation_is_found_in_every_container_and_in_xmp_where_exif_says_nothing()
    {
        byte[] jpeg = ImageFiles.Encoded(SKEncodedImageFormat.Jpeg);
        byte[] webp = ImageFiles.Encoded(SKEncodedImageFormat.Webp);
        byte[] png = ImageFiles.Encoded(SKEncodedImageFormat.Png);
        var six = SmallExif.Block(6, bigEndian: false);

        Assert.Equal(6, ExifOrientation.Of(SmallExif.InWebP(webp, "EXIF", six)));
        Assert.Equal(6, ExifOrientation.Of(SmallExif.InWebP(webp, "EXIF", [.. "Exif\0\0"u8, .. six])));
        Assert.Equal(8, ExifOrientation.Of(SmallExif.WithXmp(jpeg, "<rdf tiff:Orientation=\"8\"/>")));
        Assert.Equal(6, ExifOrientation.Of(SmallExif.WithXmp(SmallExif.InJpeg(jpeg, six), "<rdf tiff:Orientation=\"8\"/>")));
        Assert.Equal(3, ExifOrientation.Of(
            SmallExif.InPng(png, "iTXt", [.. "XML:com.adobe.xmp\0\0\0\0\0<tiff:Orientation>3</tiff:Orientation>"u8])));
        Assert.All(new[] { jpeg, webp, png, [], [0xFF, 0xD8], SmallExif.InJpeg(jpeg, [1, 2, 3]) },
            file => Assert.Equal(1, ExifOrientation.Of(file)));
    }

    private static string Rows(RgbxImage image) =>
        string.Join(' ', image.Pixels.Where((_, i) => i % 4 == 0).Select(red => (char)red)
            .Chunk(image.Width).Select(row => new string(row)));
}
