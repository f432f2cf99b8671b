using Phi3VCluster.Spec;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Tests.Data;

public sealed class LlavaTests : IDisposable
{
    private const string Asked = """{"from": "human", "value": "q"}""", Answered = """{"from": "gpt", "value": "a"}""";

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-llava-").FullName;

    public LlavaTests()
    {
        foreach (var name in new[] { "1", "2", "3" }) File.WriteAllText(Path.Combine(_folder, name), name);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Images_go_to_the_tags_in_order_over_all_turns()
    {
        var sample = Read("""
            {"id": 7, "image": ["1", "2", "3"], "model": "", "conversations": [
                {"from": "human", "value": "<image>\nand <image>?"}, {"from": "gpt", "value": "a <image>"},
                {"from": "human", "value": "so?"}, {"from": "gpt", "value": "b"},
                {"from": "human", "value": "last\n<image>"}, {"from": "gpt", "value": "c"}]}
            """);

        Assert.Equal("7", sample.Id);
        Assert.Equal(["<|image_1|>\nand <|image_2|>? 12 a <image>", "so?  b", "last\n<|image_1|> 3 c"], sample.Turns.Select(Words));
    }

    [Theory]
    [InlineData("\"image\": \"2\",", "<image>q", "<|image_1|>q 2 a")]
    [InlineData("\"image\": [\"2\"],", "q<image>", "q<|image_1|> 2 a")]
    [InlineData("\"image\": null,", "q", "q  a")]
    [InlineData("", "q", "q  a")]
    public void An_image_is_a_path_a_list_or_absent(string image, string question, string words)
    {
        var row = $$"""{ {{image}} "conversations": [{"from": "human", "value": "{{question}}"}, {{Answered}}]}""";

        Assert.Equal(words, Words(Read(row).Turns.Single()));
    }

    [Theory]
    [InlineData("""{"image": ["1", "2"], "conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a"}]}""",
        "has 1 <image> tag(s) for 2 image(s)")]
    [InlineData("""{"image": "1", "conversations": [{"from": "human", "value": "<image><image>"}, {"from": "gpt", "value": "a"}]}""",
        "has 2 <image> tag(s) for 1 image(s)")]
    [InlineData("""{"conversations": [{"from": "human", "value": "<|image_1|>"}, {"from": "gpt", "value": "a"}]}""",
        "message 1: holds <|image_1|>; write <image>")]
    [InlineData("""{"image": "1", "conversations": [{"from": "human", "value": "<image> <|image_1|>"}, {"from": "gpt", "value": "a"}]}""",
        "message 1: holds <|image_1|>")]
    [InlineData($$"""{"conversations": [{{Answered}}, {{Asked}}]}""", "message 1: is from gpt, expected human")]
    [InlineData($$"""{"conversations": [{{Asked}}, {"from": "observation", "value": "o"}, {{Asked}}, {{Answered}}]}""",
        "message 2: is from observation, expected gpt; only system (first)")]
    [InlineData($$"""{"conversations": [{"from": "system", "value": "s"}]}""", "has a system message alone")]
    [InlineData($$"""{"system": "s", "conversations": [{"from": "system", "value": "s"}, {{Asked}}, {{Answered}}]}""",
        "has a system text and a system message")]
    [InlineData($$"""{"images": ["1"], "conversations": [{{Asked}}, {{Answered}}]}""", "images is not read in this form; write image")]
    [InlineData($$"""{"image_path": "1", "conversations": [{{Asked}}, {{Answered}}]}""", "image_path is not read in this form")]
    [InlineData("""{"conversations": [{"from": "human", "value": "q", "image": "1"}, {"from": "gpt", "value": "a"}]}""",
        "message 1: image is not read in this form")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}]}""",
        "conversations is missing, messages is there; choose data.kind messages")]
    [InlineData("""{"conversations": [{"role": "user", "content": "q"}]}""", "message 1: from is missing (role is there")]
    [InlineData($$"""{"image": "http://x.invalid/1.png", "conversations": [{"from": "human", "value": "<image>"}, {{Answered}}]}""",
        "image 1: is an address on the web, which is not fetched, got http://x.invalid/1.png; download")]
    [InlineData($$"""{"image": "s3://bucket/1.png", "conversations": [{"from": "human", "value": "<image>"}, {{Answered}}]}""",
        "image 1: is an address on the net")]
    [InlineData($$"""{"image": "C:\\x\\1.png", "conversations": [{"from": "human", "value": "<image>"}, {{Answered}}]}""",
        "image 1: is a path of a Windows machine")]
    [InlineData($$"""{"image": "data:image/png;base64,??", "conversations": [{"from": "human", "value": "<image>"}, {{Answered}}]}""",
        "image 1: is a data: URL whose base64 is broken")]
    [InlineData($$"""{"conversations": [{{Asked}}]}""", "the last of 1 messages has no answer")]
    [InlineData("""{"conversations": []}""", "conversations is empty")]
    [InlineData("""{"image": "none"}""", "conversations is missing", "no image file")]
    [InlineData($$"""{"image": {"path": "1"}, "conversations": [{{Asked}}, {{Answered}}]}""", "image is a JSON object")]
    [InlineData($$"""{"image": [null, ""], "conversations": [{{Asked}}, 3]}""",
        "image 1: is null", "image 2: is empty", "message 2: is a JSON number", "0 <image>")]
    [InlineData($$"""{"conversations": [{{Asked}}, {"from": "gpt", "value": ""}]}""", "message 2: value is empty")]
    [InlineData("[]", "is a JSON array")]
    public void What_is_wrong_with_a_row_is_said_at_once(string row, params string[] reasons)
    {
        var path = Write($"[{row}]");
        using var reader = Open(path);

        var problems = Assert.Throws<BadRowException>(() => reader.Read(0)).Problems;

        Assert.Equal(reasons.Length, problems.Count);
        Assert.All(problems, problem => Assert.StartsWith($"{path}: row 0: ", problem));
        Assert.All(reasons, reason => Assert.Contains(problems, problem => problem.Contains(reason)));
    }

    [Theory]
    [InlineData($$"""{"conversations": [{"from": "system", "value": "s"}, {{Asked}}, {{Answered}}]}""", "s")]
    [InlineData("""{"system": "s", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}""", "s")]
    [InlineData(
        """{"system": "s", "conversations": [{"from": "system", "value": ""}, """
            + """{"from": "user", "value": "q"}, {"from": "assistant", "value": "a"}]}""",
        "s", true)]
    [InlineData($$"""{"conversations": [{"from": "system", "value": " "}, {{Asked}}, {{Answered}}]}""", "")]
    public void What_the_system_says_belongs_to_the_sample(string row, string system, bool isTwice = false)
    {
        if (isTwice) Assert.Throws<BadRowException>(() => Read(row));
        else Assert.Equal((system, "q  a"), (Read(row).System, Words(Read(row).Turns.Single())));
    }

    [Theory]
    [InlineData("sub/../1")]
    [InlineData("./1")]
    [InlineData("sub\\\\..\\\\1")]
    [InlineData("data:;base64,MQ==")]
    [InlineData("data:image/png;base64,MQ")]
    [InlineData("FILE")]
    public void A_picture_is_found_however_its_place_is_written(string place)
    {
        Directory.CreateDirectory(Path.Combine(_folder, "sub"));
        var written = place == "FILE" ? $"file://{_folder}/1" : place;

        var sample = Read($$"""{"image": "{{written}}", "image_url": "http://where.it/came/from","""
            + $$""" "conversations": [{"from": "human", "value": "<image>"}, {{Answered}}]}""");

        Assert.Equal("1", System.Text.Encoding.ASCII.GetString(sample.Turns[0].Images.Single().Read()));
    }

    [Fact]
    public void A_long_value_is_cut_in_messages()
    {
        var long64 = new string('A', 100_000);
        foreach (var name in new[] { long64, $"x/{long64}.png", $"data:image/png;base64,{long64}*" })
        {
            var row = $$"""{"image": "{{name}}", "conversations": [{"from": "human", "value": "<image>"}, {{Answered}}]}""";
            var message = Assert.Throws<BadRowException>(() => Read(row)).Message;
            Assert.InRange(message.Length, 200, 700);
        }
    }

    [Fact]
    public void Items_are_found_in_a_list_of_any_size_and_layout()
    {
        // Items longer than the buffer, on its borders, over several lines, with brackets and quotes inside texts.
        var random = new SplitMix64(1);
        var texts = Enumerable.Range(0, 60)
            .Select(i => $"]\\\"{{ü{i} " + new string('x', random.Below(i % 20 == 7 ? 3_000_000 : 90_000))).ToList();
        var rows = texts.Select((text, i) =>
            $$"""{"id": "{{i}}",{{(i % 2 == 0 ? "\n  " : "")}}"conversations": [{"from": "human", "value": "{{text}}"}, {{Answered}}]}""");
        using var reader = Open(Write("\uFEFF \n[" + string.Join(",\n", rows) + "\n ]\n"));

        Assert.Equal(60, reader.Count);
        foreach (var i in new[] { 59, 7, 0, 31 })
            Assert.Equal((texts[i].Replace("\\\"", "\""), $"{i}"), (reader.Read(i).Turns.Single().User, reader.Read(i).Id));
    }

    [Fact]
    public void Rows_may_be_lines_too()
    {
        var row = $$"""{"conversations": [{{Asked}}, {{Answered}}]}""";
        using var reader = Open(Write($"{row}\n\nno\n{row}\n"));

        Assert.Equal("q  a", Words(reader.Read(2).Turns.Single()));
        Assert.Contains(":3: not JSON", Assert.Throws<BadRowException>(() => reader.Read(1)).Message);
    }

    [Theory]
    [InlineData("[{}, {'a': 1}]")]
    [InlineData("[{}, {}")]
    [InlineData("[{}] {}")]
    public void A_list_that_is_broken_anywhere_is_refused_when_it_is_opened(string text) =>
        Assert.Contains("the list is not JSON", Assert.Throws<InputException>(() => Open(Write(text))).Message);

    private Sample Read(string row)
    {
        using var reader = Open(Write($"[{row}]"));
        return reader.Read(0);
    }

    private static string Words(Turn turn) =>
        $"{turn.User} {string.Concat(turn.Images.Select(image => (char)image.Read()[0]))} {turn.Answers.Single()}";

    private static IDatasetReader Open(string path) => Catalog<IDataset>.Find("llava", "data.kind").Open(new() { Train = path }, path);

    private string Write(string text)
    {
        var path = Path.Combine(_folder, "data.json");
        File.WriteAllText(path, text);
        return path;
    }
}
