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
    public void An_image_is_a_path_a_list_or_absent(string image, string question, string words) =>
        Assert.Equal(words, Words(Read($$"""{ {{image}} "conversations": [{"from": "human", "value": "{{question}}"}, {{Answered}}]}""").Turns.Single()));

    [Theory]
    [InlineData("""{"image": ["1", "2"], "conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a"}]}""", "has 1 <image> tag(s) for 2 image(s)")]
    [InlineData("""{"image": "1", "conversations": [{"from": "human", "value": "<image><image>"}, {"from": "gpt", "value": "a"}]}""", "has 2 <image> tag(s) for 1 image(s)")]
    [InlineData("""{"conversations": [{"from": "human", "value": "<|image_1|>"}, {"from": "gpt", "value": "a"}]}""", "turn 1: the image tags do not match")]
    [InlineData($$"""{"conversations": [{{Answered}}, {{Asked}}]}""", "message 1: is from gpt, expected human", "message 2: is from human, expected gpt")]
    [InlineData($$"""{"conversations": [{{Asked}}]}""", "the last of 1 messages has no answer")]
    [InlineData("""{"conversations": []}""", "conversations is empty")]
    [InlineData("""{"image": "none"}""", "conversations is missing", "no image file")]
    [InlineData($$"""{"image": {"path": "1"}, "conversations": [{{Asked}}, {{Answered}}]}""", "image is a JSON object")]
    [InlineData($$"""{"image": [null, ""], "conversations": [{{Asked}}, 3]}""", "image 1: is null", "image 2: is empty", "message 2: is a JSON number", "0 <image>")]
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

    [Fact]
    public void Items_are_found_in_a_list_of_any_size_and_layout()
    {
        // Items longer than the buffer, on its borders, over several lines, with brackets and quotes inside texts.
        var random = new SplitMix64(1);
        var texts = Enumerable.Range(0, 60).Select(i => $"]\\\"{{ü{i} " + new string('x', random.Below(i % 20 == 7 ? 3_000_000 : 90_000))).ToList();
        var rows = texts.Select((text, i) => $$"""{"id": "{{i}}",{{(i % 2 == 0 ? "\n  " : "")}}"conversations": [{"from": "human", "value": "{{text}}"}, {{Answered}}]}""");
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
