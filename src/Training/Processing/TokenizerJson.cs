using System.Globalization;
using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>What a Hugging Face <c>tokenizer.json</c> holds, checked to ask for nothing that <see cref="Tokenizer"/> does not do.</summary>
internal sealed class TokenizerJson
{
    /// <summary>Tables are as long as the largest id: a broken one must not fill the memory.</summary>
    private const int LargestId = (1 << 22) - 1;

    public required Dictionary<string, int> Vocabulary { get; init; }
    public required Dictionary<ulong, Merge> Merges { get; init; }
    public required IReadOnlyList<AddedToken> AddedTokens { get; init; }
    public required IReadOnlyList<NormalizerStep> NormalizerSteps { get; init; }
    /// <summary>Null where the normaliser does its work.</summary>
    public required Metaspace? PreTokenizer { get; init; }
    public required IReadOnlyList<TokenDecoderStep> DecoderSteps { get; init; }
    /// <summary>Ids of &lt;0x00&gt; … &lt;0xFF&gt;; null without byte fallback.</summary>
    public required int[]? ByteIds { get; init; }
    public required int? UnknownId { get; init; }
    public required bool FuseUnknown { get; init; }
    public required int BosId { get; init; }
    /// <summary>No merge joins a character with a ▁ to its right, so text can be encoded word by word.</summary>
    public required bool MergesStayInWords { get; init; }

    /// <exception cref="InputException">Missing, not JSON, or beyond what is supported; the message names the part.</exception>
    public static TokenizerJson Read(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            return Parse(document.RootElement, path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{path}: cannot be read ({e.Message}); give a folder that holds the model's tokenizer.json.");
        }
        catch (Exception e) when (
            e is JsonException or KeyNotFoundException or FormatException or InvalidOperationException or ArgumentException)
        {
            throw new InputException($"{path}: not a tokenizer ({e.Message}); copy the model's tokenizer.json again.");
        }
    }

    private static TokenizerJson Parse(JsonElement root, string path)
    {
        var steps = new TokenizerSteps(path);
        var model = root.GetProperty("model");
        steps.Refuse(model, "type", "BPE");
        foreach (var name in (string[])["dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"])
            steps.RefuseSet(model, name);

        var vocabulary = model.GetProperty("vocab").EnumerateObject().ToDictionary(t => t.Name, t => Id(t.Value), StringComparer.Ordinal);
        var added = Property(root, "added_tokens")?.EnumerateArray().Select(Added).ToList() ?? [];
        var pairs = model.GetProperty("merges").EnumerateArray().Select(Pair).ToList();
        return new()
        {
            Vocabulary = vocabulary,
            Merges = Ranked(pairs, vocabulary),
            AddedTokens = added,
            NormalizerSteps = steps.Normalizer(Property(root, "normalizer")),
            PreTokenizer = steps.PreTokenizer(Property(root, "pre_tokenizer")),
            DecoderSteps = steps.Decoder(Property(root, "decoder")),
            ByteIds = Flag(model, "byte_fallback") ? ByteTokens(vocabulary) : null,
            UnknownId = Property(model, "unk_token")?.GetString() is { } unknown ? vocabulary[unknown] : null,
            FuseUnknown = Flag(model, "fuse_unk"),
            BosId = BosOf(root, vocabulary, added) ?? throw steps.Unsupported("post_processor without a token at the beginning"),
            MergesStayInWords = vocabulary.ContainsKey("▁") && pairs.All(p => p.Left.EndsWith('▁') || !p.Right.StartsWith('▁')),
        };
    }

    /// <summary>Null where the property is absent or null.</summary>
    internal static JsonElement? Property(JsonElement from, string name) =>
        from.TryGetProperty(name, out var found) && found.ValueKind != JsonValueKind.Null ? found : null;

    private static bool Flag(JsonElement from, string name) => Property(from, name)?.GetBoolean() ?? false;

    /// <exception cref="FormatException">Null, or not a string.</exception>
    internal static string Text(JsonElement value) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw new FormatException($"a string is expected, got {value}");

    private static int Id(JsonElement value) => value.GetInt32() is >= 0 and <= LargestId and var id
        ? id : throw new FormatException($"token ids are from 0 to {LargestId}, got {value}");

    private static AddedToken Added(JsonElement token) => new(Id(token.GetProperty("id")), Text(token.GetProperty("content")),
        Flag(token, "special"), Flag(token, "lstrip"), Flag(token, "rstrip"), Flag(token, "single_word"),
        Flag(token, "normalized"));

    /// <summary>Older files write a merge as "a b", newer ones as ["a", "b"].</summary>
    private static (string Left, string Right) Pair(JsonElement merge)
    {
        var parts = merge.ValueKind == JsonValueKind.Array ? [.. merge.EnumerateArray().Select(Text)] : Text(merge).Split(' ');
        return parts.Length == 2 ? (parts[0], parts[1]) : throw new FormatException($"merge '{merge}' is not two tokens");
    }

    private static Dictionary<ulong, Merge> Ranked(List<(string Left, string Right)> pairs, Dictionary<string, int> vocabulary)
    {
        var merges = new Dictionary<ulong, Merge>(pairs.Count);
        for (var rank = 0; rank < pairs.Count; rank++)
        {
            var (left, right) = pairs[rank];
            merges[Merge.Key(vocabulary[left], vocabulary[right])] = new(rank, vocabulary[left + right]);
        }
        return merges;
    }

    private static int[]? ByteTokens(Dictionary<string, int> vocabulary)
    {
        var ids = new int[256];
        for (var i = 0; i < ids.Length; i++)
            if (!vocabulary.TryGetValue($"<0x{i.ToString("X2", CultureInfo.InvariantCulture)}>", out ids[i]))
                throw new FormatException($"byte_fallback without a token for byte {i}");
        return ids;
    }

    private static int? BosOf(JsonElement root, Dictionary<string, int> vocabulary, List<AddedToken> added)
    {
        if (Property(root, "post_processor") is not { } processor || Property(processor, "single") is not { } template) return null;
        if (template.EnumerateArray().FirstOrDefault() is not { ValueKind: JsonValueKind.Object } first) return null;
        if (Property(first, "SpecialToken")?.GetProperty("id").GetString() is not { } name) return null;
        return added.Find(t => t.Content == name)?.Id ?? vocabulary[name];
    }
}
