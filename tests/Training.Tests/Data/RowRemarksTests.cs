using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Tests.Data;

public sealed class RowRemarksTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-remarks-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Animated_pictures_text_alone_and_tags_that_are_text_are_counted_by_row()
    {
        var remarks = new RowRemarks();
        var moves = Image("moves.gif", [.. "GIF89a"u8, .. new byte[7], 0x21, 0xFF, 11, .. "NETSCAPE2.0"u8, 3, 1, 0, 0, 0]);
        var stands = Image("stands.gif", [.. "GIF89a"u8, .. new byte[30]]);
        var other = Image("other.png", [.. "GIF89a NETSCAPE2.0"u8]); // by its name nobody would look

        remarks.Add(new("a", [new([moves, moves], "What?", [""]), new([moves], "And?", [""])]));
        remarks.Add(new("b", [new([stands, other], "Where is <image>?", [""])]));
        remarks.Add(new("c", [new([], "Why?", [""])]));

        Assert.Equal(1, remarks.WithoutImages);
        Assert.Collection(remarks.Sentences(),
            one => Assert.StartsWith("an animated picture is seen as its first frame alone, in 1 row(s); ", one),
            one => Assert.StartsWith("<image> in a question is plain text for this data.kind, in 1 row(s); ", one));
    }

    private IImageSource Image(string name, byte[] bytes)
    {
        File.WriteAllBytes(Path.Combine(_folder, name), bytes);
        return FileImage.Find(_folder, name, out _)!;
    }
}
