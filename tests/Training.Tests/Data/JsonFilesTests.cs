using System.IO.Compression;
using System.Text;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Tests.Data;

/// <summary>Files of JSON as other programs write them.</summary>
public sealed class JsonFilesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-json-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("utf-16")]
    [InlineData("utf-16BE")]
    [InlineData("utf-32")]
    [InlineData("utf-16", false)]
    [InlineData("utf-16BE", false)]
    public void Wide_encodings_are_read(string name, bool mark = true)
    {
        var encoding = Encoding.GetEncoding(name);
        var path = Write([.. mark ? encoding.GetPreamble() : [], .. encoding.GetBytes($"{Row("ü")}\r\n{Row("😀")}\r\n")]);

        Assert.Equal(["ü", "😀"], Ids(path));
    }

    [Fact]
    public void A_gzip_archive_is_read_and_a_broken_one_is_named()
    {
        var packed = Gzip($"{Row("1")}\n{Row("2")}\n");

        Assert.Equal(["1", "2"], Ids(Write(packed)));
        Assert.Contains("the gzip archive is broken", Refusal(Write([.. packed[..10], .. new byte[] { 255, 255, 255, 255 }])));
        Assert.Contains("is a PDF, not JSON", Refusal(Write(Gzip("%PDF-1.4"))));
    }

    [Theory]
    [InlineData("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
        "a git-lfs pointer, the file itself was not fetched, not JSON; run 'git lfs pull'")]
    [InlineData("<!DOCTYPE html>\n<html>", "an HTML page")]
    [InlineData("PAR1 and more", "a parquet file")]
    [InlineData("PK\u0003\u0004", "a zip archive")]
    public void Another_kind_of_file_is_named_for_what_it_is(string beginning, string name) =>
        Assert.Contains($"is {name}", Refusal(Write(Encoding.Latin1.GetBytes(beginning))));

    [Fact]
    public void Single_bytes_that_are_not_UTF8_are_named()
    {
        using var reader = Open(Write(Encoding.Latin1.GetBytes(Row("ü"))));

        Assert.Contains("is not UTF-8 (byte 0xFC at 9), it looks like Latin-1",
            Assert.Throws<BadRowException>(() => reader.Read(0)).Message);
    }

    [Fact]
    public void Lists_wrapped_lists_and_values_over_several_lines_are_read()
    {
        var rows = new[] { Row("1"), Row("2") };
        var pretty = string.Join('\n', rows.Select(row => row.Replace("[", "\n  [\n").Replace(", ", ",\n ")));

        Assert.Equal(["1", "2"], Ids(Write($"[{string.Join(',', rows)}]")));
        Assert.Equal(["1", "2"], Ids(Write($"\uFEFF [\n{string.Join(",\n", rows)}\n]\n")));
        Assert.Equal(["1", "2"], Ids(Write($$"""{"version": 1, "data": [{{string.Join(',', rows)}}], "split": "train"}""")));
        Assert.Equal(["1", "2"], Ids(Write($$"""{ "version": 1,{{"\n"}} "data": [{{string.Join(",\n", rows)}}]}""")));
        Assert.Equal(["1", "2"], Ids(Write(pretty)));
        Assert.Equal(["1"], Ids(Write(rows[0])));
        using var reader = Open(Write($"\n{pretty}"));
        Assert.EndsWith(":2", $"{reader.Place(0)}");
        Assert.EndsWith(":7", $"{reader.Place(1)}");
    }

    [Theory]
    [InlineData("{\n \"id\": 1,\n \"x\": oops\n}\n", "JSON over several lines and broken", "line 3")]
    [InlineData("id,image,question\n1,a.png,What\n", "is not JSON", "write one JSON object a line")]
    [InlineData("""{"data": []}""", "has no rows; give a file with samples")]
    [InlineData("""{"train": [{"a": 1}], "test": [{"a": 2}]}""", "several lists, got train, test")]
    public void A_file_that_is_no_list_of_samples_is_one_message(string text, params string[] words)
    {
        var message = Refusal(Write(text));

        Assert.All(words, word => Assert.Contains(word, message));
        Assert.DoesNotContain("\n", message);
    }

    [Theory]
    [InlineData("{0}\n{1}\n")]
    [InlineData("[{0},\n{1}]")]
    [InlineData("{{\"data\": [{0},\n{1}]}}")]
    public void What_Python_writes_for_missing_numbers_is_nothing(string format)
    {
        var rows = new[] { "NaN", "-Infinity" }
            .Select((number, i) => Row($"{i} NaN").Replace("{\"id\"", $"{{\"score\": {number}, \"images\":{number},\"id\"")).ToArray();

        Assert.Equal(["0 NaN", "1 NaN"], Ids(Write(string.Format(null, format, rows))));
    }

    [Fact]
    public void Missing_numbers_are_found_wherever_the_file_is_cut_into_pieces()
    {
        var text = """[NaN,-Infinity,-1,"NaN \" Infinity",{"a":Infinity}]"""u8.ToArray();
        for (var size = 1; size <= text.Length; size++)
        {
            var (filter, mended) = (new PythonNumbers(), new List<byte>());
            foreach (var piece in text.Chunk(size)) mended.AddRange(filter.Mend(piece, isLast: false));
            mended.AddRange(filter.Mend([], isLast: true));

            Assert.Equal("""[null,null,-1,"NaN \" Infinity",{"a":null}]""", Encoding.UTF8.GetString([.. mended]));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n \n")]
    [InlineData("[]")]
    [InlineData("[\n]\n")]
    public void A_file_without_rows_is_named(string text) => Assert.Contains("has no rows", Refusal(Write(text)));

    [Theory]
    [InlineData("""{"image": "p.png", "conversations": [{"user": "u", "assistant": "a"}]}""",
        ":1: image is not read in this form; write images, a list of paths, in the turn")]
    [InlineData("""{"conversations": [{"image": "p.png", "user": "u", "assistant": "a"}]}""", ":1: turn 1: image is not read in this form")]
    [InlineData("""{"conversations": [{"Images": ["p.png"], "user": "u", "assistant": "a"}]}""",
        ":1: turn 1: Images is not read in this form")]
    [InlineData("""{"img_path": "p.png", "conversations": [{"user": "u", "assistant": "a"}]}""", ":1: img_path is not read in this form")]
    [InlineData("""{"conversations": [{"from": "human", "value": "u"}]}""", "choose data.kind llava")]
    [InlineData("""{"conversations": [{"role": "user", "content": "u"}]}""", "choose data.kind messages")]
    [InlineData("""{"conversations": [{"user": "u", "assistant": "  "}]}""", "turn 1: assistant is blank")]
    public void Turns_that_would_lose_something_are_refused(string row, string reason)
    {
        using var reader = Open(Write(row));

        Assert.Contains(reason, Assert.Single(Assert.Throws<BadRowException>(() => reader.Read(0)).Problems));
    }

    [Fact]
    public void Keys_that_mean_no_pictures_are_passed_over()
    {
        using var reader = Open(Write("""{"system": "s", "image_id": 3, "image": null, "images": [], "photographer": "x","""
            + """ "conversations": [{"user": "u", "assistant": "a", "imagery": "x"}]}"""));

        Assert.Equal("s", reader.Read(0).System);
    }

    private static string Row(string id) => $$"""{"id": "{{id}}", "conversations": [{"user": "u", "assistant": "a"}]}""";

    private static byte[] Gzip(string text)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest)) gzip.Write(Encoding.UTF8.GetBytes(text));
        return packed.ToArray();
    }

    private static List<string> Ids(string path)
    {
        using var reader = Open(path);
        return [.. Enumerable.Range(0, reader.Count).Select(i => reader.Read(i).Id)];
    }

    private static string Refusal(string path) => Assert.Throws<InputException>(() => Open(path)).Message;

    private static IDatasetReader Open(string path) =>
        Catalog<IDataset>.Find("conversations", "data.kind").Open(new() { Train = path }, path);

    private string Write(string text) => Write(Encoding.UTF8.GetBytes(text));

    private string Write(byte[] bytes)
    {
        var path = Path.Combine(_folder, $"{Guid.NewGuid():N}.json");
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
