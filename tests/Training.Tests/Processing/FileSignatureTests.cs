using System.Text;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Processing;

namespace Phi3VCluster.Training.Tests.Processing;

public sealed class FileSignatureTests
{
    [Theory]
    [InlineData("\0\0\0\u0018ftypheic\0\0\0\0mif1heic", "is an HEIC image, as phones make them; save it as JPEG")]
    [InlineData("\0\0\0\u0018ftypmif1\0\0\0\0mif1heic", "is an HEIC image")]
    [InlineData("\0\0\0\u0018ftypavif\0\0\0\0mif1avif", "is an AVIF image")]
    [InlineData("\0\0\0\u0018ftypisom\0\0\0\0mp42", "is a video or other ISO media file (isom)")]
    [InlineData("%PDF-1.7\n", "is a PDF; save its pages as PNG")]
    [InlineData("<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\">", "is an SVG drawing; save it as PNG")]
    [InlineData("  <!DOCTYPE html><html>", "is an HTML page")]
    [InlineData("version https://git-lfs.github.com/spec/v1\noid",
        "is a git-lfs pointer, the file itself was not fetched; run 'git lfs pull'")]
    [InlineData("no picture", "not an image that can be read, got 10 bytes that begin with 'no pictu'")]
    public void A_file_that_is_no_picture_we_read_is_named(string beginning, string words) =>
        Assert.Contains($"p.jpg: {words}",
            Assert.Throws<InputException>(() => ImageDecoder.Decode(Encoding.Latin1.GetBytes(beginning), "p.jpg")).Message);
}
