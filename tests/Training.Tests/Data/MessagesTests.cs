using System.Text;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Tests.Data;

public sealed class MessagesTests : IDisposable
{
    private const string Answered = """{"role": "assistant", "content": "a"}""";

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-messages-").FullName;

    public MessagesTests()
    {
        foreach (var name in new[] { "1", "2", "3" }) File.WriteAllText(Path.Combine(_folder, name), name);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("\"q\"", "q  a")]
    [InlineData("""[{"type": "text", "text": "q"}]""", "q  a")]
    [InlineData("""[{"type": "image_url", "image_url": {"url": "1"}}, {"type": "text", "text": "q"}]""", "<|image_1|>\nq 1 a")]
    [InlineData("""[{"type": "image_url", "image_url": "1"}, {"type": "image", "image": "2"}, {"type": "text", "text": "q"}]""",
        "<|image_1|><|image_2|>\nq 12 a")]
    [InlineData(
        """[{"type": "text", "text": "this"}, {"type": "image_url", "image_url": {"url": "2"}}, """
            + """{"type": "text", "text": "or"}, {"type": "image", "path": "1"}]""",
        "this\n<|image_1|>\nor\n<|image_2|> 21 a")]
    [InlineData(
        """[{"type": "image_url", "image_url": {"url": "data:image/png;base64,Mw==", "detail": "high"}}, {"type": "text", "text": "q"}]""",
        "<|image_1|>\nq 3 a")]
    [InlineData("""[{"type": "input_image", "image_url": "1"}, {"type": "input_text", "text": "q"}]""", "<|image_1|>\nq 1 a")]
    public void A_content_is_a_text_or_parts(string content, string words) =>
        Assert.Equal(words, Words(Read($$"""{"messages": [{"role": "user", "content": {{content}}}, {{Answered}}]}""").Turns.Single()));

    [Theory]
    [InlineData("\"<image>q\"", "<|image_1|>q 1 a")]
    [InlineData("""[{"type": "image"}, {"type": "text", "text": "q"}]""", "<|image_1|>\nq 1 a")]
    public void Images_beside_the_messages_go_to_tags_and_parts_without_a_path(string content, string words)
    {
        var row = $$"""{"images": ["1", "2"], "messages": [{"role": "user", "content": {{content}}}, {{Answered}}, """
            + $$"""{"role": "user", "content": "and <image>?"}, {{Answered}}]}""";

        Assert.Equal([words, "and <|image_1|>? 2 a"], Read(row).Turns.Select(Words));
    }

    [Fact]
    public void A_system_message_a_list_and_the_key_conversations_are_read()
    {
        var path = Write("""[{"id": 5, "conversations": [{"role": "system", "content": [{"type": "text", "text": "s"}]}, """
            + """{"role": "user", "content": "q", "name": "x"}, {"role": "assistant", "content": "a"}]}]""");
        using var reader = Open(path);

        Assert.Equal(("5", "s", "q  a"), (reader.Read(0).Id, reader.Read(0).System, Words(reader.Read(0).Turns.Single())));
    }

    [Theory]
    [InlineData($$"""{"messages": [{"role": "user", "content": "q"}, {"role": "tool", "content": "t"}, {{Answered}}]}""",
        "message 2: is from tool, expected assistant; only system (first), user and assistant are read")]
    [InlineData($$"""{"messages": [{"role": "user", "content": null}, {{Answered}}]}""", "message 1: content is null")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}]}""", "the last of 1 messages has no answer")]
    [InlineData($$"""{"messages": [{"role": "user", "content": [{"type": "video", "video": "v.mp4"}]}, {{Answered}}]}""",
        "message 1: is of type video, which is not read here")]
    [InlineData($$"""{"messages": [{"role": "user", "content": [{"type": "image"}]}, {{Answered}}]}""",
        "message 1: has no picture", "has 1 <image> tag(s) for 0 image(s)")]
    [InlineData($$"""{"images": ["1"], "messages": [{"role": "user", "content": "q"}, {{Answered}}]}""",
        "has 0 <image> tag(s) for 1 image(s)")]
    [InlineData($$"""{"messages": [{"role": "user", "content": "q", "image": "1"}, {{Answered}}]}""",
        "message 1: image is not read in this form")]
    [InlineData($$"""{"image_file": "1", "messages": [{"role": "user", "content": "q"}, {{Answered}}]}""",
        "image_file is not read in this form")]
    [InlineData(
        """{"messages": [{"role": "user", "content": "q"}, """
            + """{"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "1"}}]}]}""",
        "message 2: is of type image_url")]
    [InlineData("""{"prompt": "q", "completion": "a"}""", "messages is missing, it has prompt, completion")]
    public void What_is_wrong_with_a_row_is_said_at_once(string row, params string[] reasons)
    {
        using var reader = Open(Write(row));

        var problems = Assert.Throws<BadRowException>(() => reader.Read(0)).Problems;

        Assert.Equal(reasons.Length, problems.Count);
        Assert.All(reasons, reason => Assert.Contains(problems, problem => problem.Contains(reason)));
    }

    private Sample Read(string row)
    {
        using var reader = Open(Write(row));
        return reader.Read(0);
    }

    private static string Words(Turn turn) =>
        $"{turn.User} {string.Concat(turn.Images.Select(image => Encoding.ASCII.GetString(image.Read())))} {turn.Answers.Single()}";

    private static IDatasetReader Open(string path) => Catalog<IDataset>.Find("messages", "data.kind").Open(new() { Train = path }, path);

    private string Write(string text)
    {
        var path = Path.Combine(_folder, "data.jsonl");
        File.WriteAllText(path, text);
        return path;
    }
}
