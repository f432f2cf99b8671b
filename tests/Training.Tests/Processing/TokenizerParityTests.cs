using System.Text.Json;
using System.Text.Json.Nodes;
using Phi3VCluster.Training.Processing;

namespace Phi3VCluster.Training.Tests.Processing;

[Trait("Category", "Parity")]
public sealed class TokenizerParityTests
{
    private static Tokenizer Real() => Tokenizer.Load(FixtureFolder.Path("..", "reference", "phi-3-vision-128k-instruct"));

    [Fact]
    public void Every_text_has_the_originals_ids_and_decodes_alike()
    {
        var lines = FixtureFolder.Path("tokenizer", "tokenizer.jsonl");
        var tokenizer = Real();
        var (problems, count) = (new List<string>(), 0);
        foreach (var line in FixtureFolder.Lines(lines))
        {
            count++;
            var bare = Ids(line.GetProperty("ids_without_bos"));
            if (line.GetProperty("text").GetString() is { } text)
            {
                if (!tokenizer.Encode(text, addBos: false).SequenceEqual(bare)) problems.Add($"ids of {text}");
                if (!tokenizer.Encode(text, addBos: true).SequenceEqual(Ids(line.GetProperty("ids"))))
                    problems.Add($"ids with BOS of {text}");
            }
            Same(line, "decoded", tokenizer.Decode(bare, skipSpecial: true), problems);
            Same(line, "decoded_with_special", tokenizer.Decode(bare, skipSpecial: false), problems);
        }
        FixtureFolder.AssertNone(problems, count);
    }

    [Fact]
    public void Every_chat_has_the_originals_prompt_and_ids()
    {
        var lines = FixtureFolder.Path("tokenizer", "prompts.jsonl");
        var tokenizer = Real();
        var encoder = new PromptEncoder(tokenizer);
        var (problems, count) = (new List<string>(), 0);
        foreach (var line in FixtureFolder.Lines(lines))
        {
            count++;
            var prompt = ChatTemplate.Prompt(line.GetProperty("messages").EnumerateArray()
                .Select(m => new ChatMessage(m.GetProperty("role").GetString()!, m.GetProperty("content").GetString()!)));
            Same(line, "prompt", prompt, problems);
            var numCrops = line.GetProperty("num_crops").GetInt32();
            var tokens = line.GetProperty("image_sizes_width_height").EnumerateArray()
                .Select(size => ImageLayout.For(size[0].GetInt32(), size[1].GetInt32(), numCrops, "image").TokenCount).ToList();
            if (!tokens.SequenceEqual(line.GetProperty("image_tokens").EnumerateArray().Select(t => t.GetInt32())))
                problems.Add($"tokens of {prompt}");
            var ids = new List<long>();
            encoder.Encode(TaggedPrompt.Of(prompt), tokens, ids, "prompt");
            var expected = line.GetProperty("prompt_ids_runs").EnumerateArray()
                .SelectMany(r => Enumerable.Repeat(r[0].GetInt64(), r[1].GetInt32()));
            if (!ids.SequenceEqual(expected)) problems.Add($"ids of {prompt}");
            var answer = line.GetProperty("answer").GetString() + ChatTemplate.AnswerEnd;
            if (!tokenizer.Encode(answer, addBos: false).SequenceEqual(Ids(line.GetProperty("answer_ids"))))
                problems.Add($"ids of {answer}");
        }
        FixtureFolder.AssertNone(problems, count);
    }

    /// <summary>
    /// The same file as newer libraries save it: the texts that begin with no blank and hold no added token have the same ids.
    /// </summary>
    [Fact]
    public void A_file_saved_anew_and_one_with_tokens_added_have_the_originals_ids()
    {
        var folder = Directory.CreateTempSubdirectory("phi3v-saved-anew-").FullName;
        try
        {
            var original = FixtureFolder.Path("..", "reference", "phi-3-vision-128k-instruct");
            var file = JsonNode.Parse(File.ReadAllText(Path.Combine(original, "tokenizer.json")))!;
            var added = file["added_tokens"]!.AsArray();
            added.Add(JsonNode.Parse("""{"id": 32045, "content": "<loc_1>", "single_word": false, "lstrip": false,"""
                + """ "rstrip": false, "normalized": true, "special": false}"""));
            var grown = Load(folder, file);
            var metaspace = JsonNode.Parse("""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false}""");
            (file["normalizer"], file["pre_tokenizer"]) = (null, metaspace);
            var anew = Load(folder, file);
            var contents = added.Select(token => token!["content"]!.GetValue<string>()).ToList();
            var (problems, count) = (new List<string>(), 0);
            foreach (var line in FixtureFolder.Lines(FixtureFolder.Path("tokenizer", "tokenizer.jsonl")))
            {
                if (line.GetProperty("text").GetString() is not { } text) continue;
                var ids = Ids(line.GetProperty("ids_without_bos"));
                if (!grown.Encode(text, addBos: false).SequenceEqual(ids)) problems.Add($"with a token added: {text}");
                if (text.StartsWith(' ') || text.StartsWith('▁') || contents.Any(text.Contains)) continue;
                count++;
                if (!anew.Encode(text, addBos: false).SequenceEqual(ids)) problems.Add($"saved anew: {text}");
            }
            FixtureFolder.AssertNone(problems, count);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static Tokenizer Load(string folder, JsonNode file)
    {
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), file.ToJsonString());
        return Tokenizer.Load(folder);
    }

    private static long[] Ids(JsonElement list) => [.. list.EnumerateArray().Select(id => id.GetInt64())];

    private static void Same(JsonElement line, string name, string got, List<string> problems)
    {
        if (line.GetProperty(name).GetString() != got) problems.Add($"{name}: expected {line.GetProperty(name)}, got {got}");
    }
}
