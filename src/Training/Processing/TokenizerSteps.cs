using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>Reads the normaliser and decoder sections of one tokenizer.json, and refuses what is not supported.</summary>
internal sealed class TokenizerSteps(string path)
{
    public InputException Unsupported(string what) =>
        new($"{path}: {what} is not supported; use a Phi-3-Vision checkpoint's own tokenizer.json.");

    public void Refuse(JsonElement from, string name, string expected)
    {
        var value = from.GetProperty(name).GetString();
        if (value != expected) throw Unsupported($"{name} {value}");
    }

    public void RefuseSet(JsonElement from, string name)
    {
        if (TokenizerJson.Property(from, name) is { ValueKind: not JsonValueKind.False } value && value.ToString() is not ("" or "0"))
            throw Unsupported($"{name} {Kind(value)}");
    }

    public List<NormalizerStep> Normalizer(JsonElement? section) => [.. Flatten(section, "normalizers").Select(ToNormalizer)];

    public Metaspace? PreTokenizer(JsonElement? section) => Flatten(section, "pretokenizers").ToList() switch
    {
        [] => null,
        [var step] when Kind(step) == "Metaspace" => Space(step),
        [var step] => throw Unsupported($"pre_tokenizer {Kind(step)}"),
        _ => throw Unsupported("more than one pre_tokenizer"),
    };

    public List<TokenDecoderStep> Decoder(JsonElement? section) => [.. Flatten(section, "decoders").Select(ToDecoder)];

    private NormalizerStep ToNormalizer(JsonElement step) => Kind(step) switch
    {
        "Prepend" => new NormalizerStep.Prepend(Text(step, "prepend")),
        "Replace" => new NormalizerStep.Replace(Pattern(step), Text(step, "content")),
        var other => throw Unsupported($"normalizer {other}"),
    };

    private TokenDecoderStep ToDecoder(JsonElement step) => Kind(step) switch
    {
        "Replace" => new TokenDecoderStep.Replace(Pattern(step), Text(step, "content")),
        "ByteFallback" => new TokenDecoderStep.ByteFallback(),
        "Fuse" => new TokenDecoderStep.Fuse(),
        "Metaspace" => new TokenDecoderStep.Spaces(Space(step)),
        "Strip" => new TokenDecoderStep.Strip(Letter(step), step.GetProperty("start").GetInt32(), step.GetProperty("stop").GetInt32()),
        var other => throw Unsupported($"decoder {other}"),
    };

    /// <summary>Older files say add_prefix_space, newer ones prepend_scheme.</summary>
    private Metaspace Space(JsonElement step)
    {
        var scheme = TokenizerJson.Property(step, "prepend_scheme")?.GetString()
            ?? (TokenizerJson.Property(step, "add_prefix_space")?.GetBoolean() == false ? "never" : "always");
        return new(Text(step, "replacement"), scheme switch
        {
            "always" => PrependScheme.Always,
            "first" => PrependScheme.First,
            "never" => PrependScheme.Never,
            _ => throw Unsupported($"prepend_scheme {scheme}"),
        }, TokenizerJson.Property(step, "split")?.GetBoolean() ?? true);
    }

    private static IEnumerable<JsonElement> Flatten(JsonElement? section, string children)
    {
        if (section is not { } step) return [];
        return Kind(step) == "Sequence"
            ? step.GetProperty(children).EnumerateArray().SelectMany(child => Flatten(child, children))
            : [step];
    }

    private static string Kind(JsonElement step) => step.ValueKind == JsonValueKind.Object ? Text(step, "type") : step.ToString();

    private static string Text(JsonElement step, string name) => TokenizerJson.Text(step.GetProperty(name));

    private char Letter(JsonElement step) =>
        Text(step, "content") is [var letter] ? letter : throw Unsupported("a Strip of more or less than one character");

    private string Pattern(JsonElement step) =>
        TokenizerJson.Property(step.GetProperty("pattern"), "String") is { ValueKind: JsonValueKind.String } pattern
        && pattern.GetString() is { Length: > 0 } text
            ? text : throw Unsupported("a Replace pattern that is not a plain string");
}
