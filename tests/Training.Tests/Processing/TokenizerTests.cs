using System.Text.Json;
using System.Text.Json.Nodes;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Processing;

namespace Phi3VCluster.Training.Tests.Processing;

public sealed class TokenizerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-tokenizer-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Lower_ranks_merge_first_and_equal_ones_from_the_left()
    {
        var tokenizer = SmallTokenizer.Load(_folder);

        Assert.Equal(["▁", "aa", "a"], Spell(tokenizer, "aaa"));
        Assert.Equal(["▁", "a", "bc"], Spell(tokenizer, "abc"));
    }

    [Theory]
    [InlineData(24)] // the longest that is merged pair by pair
    [InlineData(25)]
    [InlineData(300)]
    [InlineData(1000)]
    public void Long_words_merge_as_the_rule_says_written_out_slowly(int length)
    {
        var tokenizer = SmallTokenizer.Load(_folder);
        var random = new SplitMix64((ulong)length);
        var word = string.Concat(Enumerable.Range(0, length).Select(_ => "abc"[random.Below(3)]));

        Assert.Equal(["▁", .. SlowlyMerged(word)], Spell(tokenizer, word));
        Assert.Equal(tokenizer.Encode(word, addBos: true), tokenizer.Encode(word, addBos: true)); // met before
    }

    [Fact]
    public void What_the_vocabulary_lacks_becomes_its_bytes_and_comes_back()
    {
        var tokenizer = SmallTokenizer.Load(_folder);

        var ids = tokenizer.Encode("a😀é", addBos: false);

        Assert.Equal(2 + 4 + 2, ids.Length);
        Assert.Equal("a😀é", tokenizer.Decode(ids, skipSpecial: true));
        Assert.Equal("a\uFFFD\uFFFD", tokenizer.Decode(ids.AsSpan(0, 4), skipSpecial: true));
    }

    [Fact]
    public void Added_tokens_are_split_out_longest_first_and_swallow_the_whitespace_they_ask_for()
    {
        var tokenizer = SmallTokenizer.Load(_folder);

        Assert.Equal(["▁", "a", "<|x|>", "▁", "a"], Spell(tokenizer, "a<|x|>a"));
        Assert.Equal(["▁", "a", "<|x|>>", "▁", "a"], Spell(tokenizer, "a<|x|>> \n a"));
        Assert.Equal(["▁", "a", "▁", "<|x|>"], Spell(tokenizer, "a <|x|>"));
    }

    [Fact]
    public void Merges_as_pairs_mean_the_same_as_merges_as_strings()
    {
        var strings = SmallTokenizer.Load(_folder);
        var pairs = SmallTokenizer.Load(_folder, mergesAsPairs: true);

        const string text = "aaa bc abcaab  <|x|>aa bcbc";
        Assert.Equal(strings.Encode(text, addBos: true), pairs.Encode(text, addBos: true));
    }

    [Fact]
    public void Decoding_drops_special_tokens_and_image_placeholders_but_not_other_added_tokens()
    {
        var tokenizer = SmallTokenizer.Load(_folder);
        long[] ids = [tokenizer.BosId, .. tokenizer.Encode("a<|x|>a<|x|>>", addBos: false), -1, -1, 1 << 20];

        Assert.Equal("a aplain", tokenizer.Decode([.. ids, tokenizer.IdOf("plain")!.Value], skipSpecial: true));
        Assert.Equal("<s> a<|x|> a<|x|>>", tokenizer.Decode(ids, skipSpecial: false));
    }

    [Theory]
    [InlineData("first", false, "a aa", new[] { "▁", "a", "▁", "aa" })]
    [InlineData("first", false, " a", new[] { "▁", "a" })]
    [InlineData("first", false, "<|x|>a", new[] { "<|x|>", "a" })]
    [InlineData("first", false, "a<|x|> a", new[] { "▁", "a", "<|x|>", "▁", "a" })]
    [InlineData("always", false, "<|x|>a", new[] { "<|x|>", "▁", "a" })]
    [InlineData("always", true, "<|x|>  a", new[] { "<|x|>", "▁", "▁", "a" })]
    [InlineData("never", false, "a a", new[] { "a", "▁", "a" })]
    public void A_file_saved_anew_marks_blanks_as_tokenizers_does(string scheme, bool splits, string text, string[] words)
    {
        var tokenizer = SmallTokenizer.Load(_folder, metaspace: (scheme, splits));

        Assert.Equal(words, Spell(tokenizer, text));
    }

    [Fact]
    public void A_normalised_added_token_is_found_where_its_normalised_spelling_stands()
    {
        var prepended = SmallTokenizer.Load(_folder, addedNormalized: "plain");
        Assert.Equal(["▁", "a", "plain", "b"], Spell(prepended, "a plainb"));
        Assert.Equal(["plain", "plain", "▁", "a"], Spell(prepended, "plain plain a"));
        Assert.DoesNotContain("plain", Spell(prepended, "aplain")); // ▁plain is not in ▁aplain

        var spaced = SmallTokenizer.Load(_folder, metaspace: ("first", false), addedNormalized: "plain");
        Assert.Equal(["▁", "a", "plain", "b"], Spell(spaced, "aplainb"));
        Assert.Equal(["plain", "▁", "plain"], Spell(spaced, "plain plain"));
    }

    [Fact]
    public void A_token_beyond_the_weights_is_named()
    {
        var tokenizer = SmallTokenizer.Load(_folder);
        var last = tokenizer.LargestId;

        Assert.Null(tokenizer.BeyondWeights([0, last], last + 1));
        Assert.Contains($"token ▁a has id {last}, and the model's weights have {last} rows", tokenizer.BeyondWeights([0, last], last));
        Assert.Null(tokenizer.BeyondWeights([0, 1], last));
    }

    [Fact]
    public void A_step_it_does_not_know_is_refused_by_name()
    {
        var error = Assert.Throws<InputException>(() => SmallTokenizer.Load(_folder, normalizer: "NFKC"));

        Assert.Contains("NFKC", error.Message);
        Assert.Contains("tokenizer.json", error.Message);
    }

    [Fact]
    public void A_file_cut_short_is_refused_with_its_path()
    {
        File.WriteAllText(Path.Combine(_folder, "tokenizer.json"), "{\"model\": {\"type\": \"BPE\", \"vo");

        Assert.Contains(_folder, Assert.Throws<InputException>(() => Tokenizer.Load(_folder)).Message);
        Assert.Throws<InputException>(() => Tokenizer.Load(Path.Combine(_folder, "nowhere")));
    }

    private static List<string> SlowlyMerged(string word)
    {
        var symbols = word.Select(letter => letter.ToString()).ToList();
        foreach (var (left, right) in SmallTokenizer.Merges) // no merge makes a part of an earlier one
            for (var i = 0; i + 1 < symbols.Count; i++)
                if (symbols[i] == left && symbols[i + 1] == right)
                {
                    symbols[i] += right;
                    symbols.RemoveAt(i + 1);
                }
        return symbols;
    }

    private static string[] Spell(Tokenizer tokenizer, string text) =>
        [.. tokenizer.Encode(text, addBos: false).Select(id => SmallTokenizer.Tokens.Single(t => tokenizer.IdOf(t) == id))];
}

/// <summary>A tokenizer.json of a handful of letters, with every mechanism of the real one.</summary>
internal static class SmallTokenizer
{
    private static readonly string[] Words = ["▁", "a", "b", "c", "\n", "aa", "bc", "ab", "▁a"];
    private static readonly string[] Added =
        ["<unk>", "<s>", "<|x|>", "<|x|>>", "plain", "<|end|>", "<|endoftext|>", "<|user|>", "<|assistant|>"];

    public static IReadOnlyList<(string, string)> Merges { get; } = [("b", "c"), ("a", "a"), ("a", "b")];

    public static IReadOnlyList<string> Tokens { get; } =
        [.. Added, .. Enumerable.Range(0, 256).Select(b => $"<0x{b:X2}>"), .. Words];

    /// <summary>The same file without byte fallback: a twentieth of the size.</summary>
    public static string WithoutBytes(string file)
    {
        var json = JsonNode.Parse(file)!;
        var model = json["model"]!.AsObject();
        model["byte_fallback"] = false;
        foreach (var token in Tokens.Where(token => token.StartsWith("<0x", StringComparison.Ordinal)))
            model["vocab"]!.AsObject().Remove(token);
        return json.ToJsonString();
    }

    public static Tokenizer Load(
        string folder, bool mergesAsPairs = false, string normalizer = "Prepend", (string Scheme, bool Splits)? metaspace = null,
        string? addedNormalized = null)
    {
        object[] steps =
        [
            new { type = normalizer, prepend = "▁" }, new { type = "Replace", pattern = new { String = " " }, content = "▁" },
        ];
        object[] decoders =
        [
            new { type = "Replace", pattern = new { String = "▁" }, content = " " }, new { type = "ByteFallback" }, new { type = "Fuse" },
            new { type = "Strip", content = " ", start = 1, stop = 0 },
        ];
        var file = new
        {
            added_tokens = Added.Select((content, id) => new
            {
                id,
                content,
                single_word = false,
                lstrip = false,
                rstrip = content == "<|x|>>",
                normalized = content == addedNormalized,
                special = content != "plain",
            }),
            normalizer = metaspace is null ? new { type = "Sequence", normalizers = steps } : null,
            pre_tokenizer = metaspace is { } space
                ? new { type = "Metaspace", replacement = "▁", prepend_scheme = space.Scheme, split = space.Splits }
                : null,
            post_processor = new { type = "TemplateProcessing", single = new object[] { new { SpecialToken = new { id = "<s>" } } } },
            decoder = new { type = "Sequence", decoders },
            model = new
            {
                type = "BPE",
                unk_token = "<unk>",
                fuse_unk = true,
                byte_fallback = true,
                vocab = Tokens.Select((token, id) => (token, id)).ToDictionary(t => t.token, t => t.id),
                merges = Merges.Select(m => mergesAsPairs ? (object)new[] { m.Item1, m.Item2 } : $"{m.Item1} {m.Item2}"),
            },
        };
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), JsonSerializer.Serialize(file));
        return Tokenizer.Load(folder);
    }
}
