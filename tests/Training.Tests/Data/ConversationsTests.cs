using Phi3VCluster.Spec;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Tests.Data;

public sealed class ConversationsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-data-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Rows_are_read_in_any_order_whatever_ends_their_lines()
    {
        var path = Write("d.jsonl",
            "\uFEFF" + Row("first", "eins") + "\r\n\n  \n" + Row("second", "zwei ü") + "\n" + Row("third", "drei"));
        using var reader = Open(path);

        Assert.Equal(3, reader.Count);
        Assert.Equal(["third", "first", "second"], new[] { 2, 0, 1 }.Select(i => reader.Read(i).Id));
        Assert.Equal("zwei ü", reader.Read(1).Turns[0].Answers.Single());
    }

    [Fact]
    public void A_glob_joins_its_files_in_the_order_of_their_names()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "b"));
        Directory.CreateDirectory(Path.Combine(_folder, "a"));
        Write("b/part-1.jsonl", Row("3", "x"));
        Write("a/part-2.jsonl", Row("2", "x"));
        Write("a/part-1.jsonl", Row("1", "x") + "\n" + Row("1b", "x"));
        Write("a/other.txt", "no");

        using var reader = Open(Path.Combine(_folder, "?", "part-*.jsonl"));

        Assert.Equal(["1", "1b", "2", "3"], Enumerable.Range(0, reader.Count).Select(i => reader.Read(i).Id));
    }

    [Fact]
    public void A_bad_line_is_refused_with_its_line_number_and_the_others_stay_readable()
    {
        var path = Write("d.jsonl", Row("first", "eins") + "\n\n{'id': 1}\n" + Row("last", "drei") + "\n{\"id\": \"cut\", \"conv");
        using var reader = Open(path);

        Assert.Contains($"{path}:3: not JSON", Assert.Throws<BadRowException>(() => reader.Read(1)).Message);
        Assert.Contains($"{path}:5", Assert.Throws<BadRowException>(() => reader.Read(3)).Message);
        Assert.Equal("last", reader.Read(2).Id);
    }

    [Fact]
    public void All_that_is_wrong_with_a_row_is_said_at_once()
    {
        var path = Write("d.jsonl",
            """{"conversations": [{"images": [null, "none.png"], "user": null, "assistant": ""}, {"images": [], "user": "u"}, 3]}""");
        using var reader = Open(path);

        var problems = Assert.Throws<BadRowException>(() => reader.Read(0)).Problems;

        Assert.Equal(6, problems.Count);
        Assert.All(problems, problem => Assert.StartsWith($"{path}:1: turn ", problem));
    }

    [Fact]
    public void Tags_that_do_not_match_the_images_and_texts_that_are_no_unicode_are_refused_when_read()
    {
        File.WriteAllBytes(Path.Combine(_folder, "p.png"), [1]);
        var path = Write("d.jsonl", """
            {"conversations": [{"images": ["p.png", "p.png"], "user": "<|image_1|> u", "assistant": "a"}]}
            {"conversations": [{"user": "<|image_1|> u", "assistant": "a"}]}
            {"conversations": [{"user": "\ud800", "assistant": "a"}]}
            {"conversations": [{"images": ["p.png", "p.png"], "user": "<|image_2|> u <|image_1|>", "assistant": "a"}]}
            """);
        using var reader = Open(path);

        Assert.Contains("use <|image_1|><|image_2|>", Assert.Throws<BadRowException>(() => reader.Read(0)).Message);
        Assert.Contains("remove the tags", Assert.Throws<BadRowException>(() => reader.Read(1)).Message);
        Assert.Contains("not Unicode", Assert.Throws<BadRowException>(() => reader.Read(2)).Message);
        Assert.Equal(2, reader.Read(3).Turns[0].Images.Count);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Image_files_are_turned_by_their_orientation_only_where_that_is_asked_for(bool rotate)
    {
        File.WriteAllBytes(Path.Combine(_folder, "p.png"), [1]);
        var path = Write("d.jsonl", """{"conversations": [{"images": ["p.png"], "user": "u", "assistant": "a"}]}""");
        using var reader = Catalog<IDataset>.Find("conversations", "data.kind").Open(new() { Train = path, ExifRotate = rotate }, path);

        Assert.Equal(rotate, reader.Read(0).Turns[0].Images.Single().IsTurnedUpright);
    }

    [Fact]
    public void Image_paths_start_from_the_file_or_from_the_image_root()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "pictures"));
        File.WriteAllBytes(Path.Combine(_folder, "pictures", "p.png"), [1, 2, 3]);
        var path = Write("d.jsonl", """{"id": 7, "conversations": [{"images": ["p.png"], "user": "u", "assistant": "a"}]}""");

        using var rooted = Open(path, imageRoot: Path.Combine(_folder, "pictures"));
        Assert.Equal([1, 2, 3], rooted.Read(0).Turns[0].Images.Single().Read());
        Assert.Equal("7", rooted.Read(0).Id);
        using var beside = Open(path);
        Assert.Contains("imageRoot", Assert.Throws<BadRowException>(() => beside.Read(0)).Message);
    }

    [Fact]
    public void A_path_that_means_no_file_names_the_setting_and_what_is_there_instead()
    {
        Write("train.jsonl", Row("1", "x"));

        var missing = Assert.Throws<InputException>(() => Open(Path.Combine(_folder, "trian.jsonl"), asEval: true)).Message;
        Assert.StartsWith("data.eval:", missing);
        Assert.Contains("train.jsonl", missing);
        Assert.StartsWith("data.train:", Assert.Throws<InputException>(() => Open(Path.Combine(_folder, "*.json"))).Message);
        Assert.Contains("a folder", Assert.Throws<InputException>(() => Open(_folder)).Message);
        Assert.Contains("no rows", Assert.Throws<InputException>(() => Open(Write("empty.jsonl", "\n \n"))).Message);
    }

    private static IDatasetReader Open(string path, string? imageRoot = null, bool asEval = false) =>
        Catalog<IDataset>.Find("conversations", "data.kind").Open(
            new() { Train = asEval ? "t" : path, Eval = asEval ? path : null, ImageRoot = imageRoot }, path);

    private string Write(string name, string text)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, text);
        return path;
    }

    private static string Row(string id, string answer) =>
        $$"""{"id": "{{id}}", "other": 1, "conversations": [{"user": "u", "assistant": "{{answer}}"}]}""";
}
