using System.Text;
using System.Text.Json;

namespace Phi3VCluster.Samples.Tests;

public sealed class TinyTokenizerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly JsonElement _config;
    private readonly JsonElement _tokenizer;
    private readonly PlainBpe _bpe;

    public TinyTokenizerTests()
    {
        TinyCheckpoint.Create(_folder.At("model"), seed: 1, TinySizes.Smallest);
        _config = Parse("config.json");
        _tokenizer = Parse("tokenizer.json");
        _bpe = new PlainBpe(_tokenizer.GetProperty("model"));
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Every_answer_is_one_token() =>
        Assert.All(Field.All.SelectMany(field => field.Values), value => Assert.Equal(["▁" + value], _bpe.Encode("▁" + value)));

    [Fact]
    public void Every_word_of_a_question_is_one_token_as_it_stands_in_the_prompt() => Assert.All(Field.All, field =>
    {
        var words = field.Question.Split(' ');
        string[] expected = ["▁", "<0x0A>", words[0], .. words.Skip(1).Select(word => "▁" + word)];
        Assert.Equal(expected, _bpe.Encode("▁\n" + field.Question.Replace(' ', '▁')));
    });

    [Fact]
    public void Other_text_falls_back_to_letters_and_bytes_and_never_to_unknown() =>
        Assert.Equal(["▁B", "A", "<0xC3>", "<0xA9>", "<0x0A>"], _bpe.Encode("▁BAé\n"));

    [Fact]
    public void Ids_are_dense_and_as_many_as_the_checkpoint_has_rows()
    {
        var pieces = _tokenizer.GetProperty("model").GetProperty("vocab").EnumerateObject().Select(p => (p.Name, Id: p.Value.GetInt32()));
        var added = AddedTokens().Select(t => (Name: Content(t), Id: t.GetProperty("id").GetInt32()));

        var ids = pieces.Union(added).Select(token => token.Id).Order(); // <unk>, <s> and </s> are in both, with the same id
        Assert.Equal(Enumerable.Range(0, _config.GetProperty("vocab_size").GetInt32()), ids);
    }

    [Fact]
    public void The_special_tokens_of_phi_3_have_the_released_flags()
    {
        var flags = AddedTokens().ToDictionary(
            Content, t => (RightStrip: t.GetProperty("rstrip").GetBoolean(), Special: t.GetProperty("special").GetBoolean()));

        string[] all = ["<unk>", "<s>", "</s>", "<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"];
        Assert.Equal(all.Order(), flags.Keys.Order());
        Assert.Equal(["</s>", "<|assistant|>"], flags.Where(t => t.Value.RightStrip).Select(t => t.Key).Order());
        Assert.Equal(["</s>"], flags.Where(t => !t.Value.Special).Select(t => t.Key));
    }

    [Fact]
    public void The_configuration_stops_at_end_of_text()
    {
        var endOfText = AddedTokens().Single(t => Content(t) == "<|endoftext|>");
        Assert.Equal(endOfText.GetProperty("id").GetInt32(), _config.GetProperty("eos_token_id").GetInt32());
        Assert.Equal("<|endoftext|>", Parse("tokenizer_config.json").GetProperty("eos_token").GetString());
        Assert.Equal("<|endoftext|>", Parse("special_tokens_map.json").GetProperty("eos_token").GetProperty("content").GetString());
    }

    private JsonElement.ArrayEnumerator AddedTokens() => _tokenizer.GetProperty("added_tokens").EnumerateArray();

    private static string Content(JsonElement addedToken) => addedToken.GetProperty("content").GetString()!;

    private JsonElement Parse(string name) => JsonDocument.Parse(File.ReadAllText(_folder.At($"model/{name}"))).RootElement;

    /// <summary>The textbook: as long as neighbours have a merge, join the leftmost pair of the earliest one.</summary>
    private sealed class PlainBpe(JsonElement model)
    {
        private readonly HashSet<string> _vocabulary = [.. model.GetProperty("vocab").EnumerateObject().Select(p => p.Name)];
        private readonly List<string> _merges = [.. model.GetProperty("merges").EnumerateArray().Select(m => m.GetString()!)];

        public List<string> Encode(string text)
        {
            var symbols = text.EnumerateRunes().SelectMany(letter => LetterOrBytes(letter.ToString())).ToList();
            while (true)
            {
                var ranked = Enumerable.Range(0, symbols.Count - 1)
                    .Select(i => (Rank: _merges.IndexOf($"{symbols[i]} {symbols[i + 1]}"), At: i));
                var best = ranked.Where(pair => pair.Rank >= 0).DefaultIfEmpty((Rank: -1, At: -1)).Min();
                if (best.Rank < 0) break;
                symbols[best.At] += symbols[best.At + 1];
                symbols.RemoveAt(best.At + 1);
            }
            Assert.All(symbols, symbol => Assert.Contains(symbol, _vocabulary));
            return symbols;
        }

        private IEnumerable<string> LetterOrBytes(string letter) =>
            _vocabulary.Contains(letter) ? [letter] : Encoding.UTF8.GetBytes(letter).Select(b => $"<0x{b:X2}>");
    }
}
