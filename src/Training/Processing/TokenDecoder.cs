using System.Globalization;
using System.Text;

namespace Phi3VCluster.Training.Processing;

/// <summary>One decoder step of tokenizer.json.</summary>
internal abstract record TokenDecoderStep
{
    internal sealed record Replace(string Pattern, string Content) : TokenDecoderStep;

    /// <summary>Runs of &lt;0xNN&gt; tokens become the UTF-8 text they spell, or one U+FFFD a byte where they spell none.</summary>
    internal sealed record ByteFallback : TokenDecoderStep;

    /// <summary>All tokens become one.</summary>
    internal sealed record Fuse : TokenDecoderStep;

    /// <summary>Marks become blanks again; those of the first token, which the text did not have, go.</summary>
    internal sealed record Spaces(Metaspace Metaspace) : TokenDecoderStep;

    /// <summary>Takes up to so many of <paramref name="Content"/> off the ends of each token.</summary>
    internal sealed record Strip(char Content, int Start, int Stop) : TokenDecoderStep;
}

/// <summary>Ids to text by a file's decoder steps.</summary>
internal sealed class TokenDecoder
{
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly IReadOnlyList<TokenDecoderStep> _steps;
    private readonly string?[] _tokens;
    private readonly HashSet<int> _special;

    public TokenDecoder(IReadOnlyList<TokenDecoderStep> steps, IReadOnlyDictionary<string, int> idOf, IReadOnlyList<AddedToken> added)
    {
        _steps = steps;
        _tokens = new string?[idOf.Count == 0 ? 0 : idOf.Values.Max() + 1];
        foreach (var (token, id) in idOf) _tokens[id] = token;
        foreach (var token in added) _tokens[token.Id] = token.Content;
        _special = [.. added.Where(t => t.Special).Select(t => t.Id)];
    }

    public string Decode(ReadOnlySpan<long> ids, bool skipSpecial)
    {
        var tokens = new List<string>(ids.Length);
        foreach (var id in ids)
            if (id >= 0 && id < _tokens.Length && _tokens[id] is { } token && !(skipSpecial && _special.Contains((int)id)))
                tokens.Add(token);
        foreach (var step in _steps) tokens = Apply(step, tokens);
        return string.Concat(tokens);
    }

    private static List<string> Apply(TokenDecoderStep step, List<string> tokens) => step switch
    {
        TokenDecoderStep.Replace replace => tokens.ConvertAll(t => t.Replace(replace.Pattern, replace.Content, StringComparison.Ordinal)),
        TokenDecoderStep.ByteFallback => JoinBytes(tokens),
        TokenDecoderStep.Fuse => [string.Concat(tokens)],
        TokenDecoderStep.Spaces { Metaspace: var space } => [.. tokens.Select((token, place) => space.Undone(token, isFirst: place == 0))],
        TokenDecoderStep.Strip strip => tokens.ConvertAll(t => Stripped(t, strip)),
        _ => throw new InvalidOperationException($"no such decoder step: {step}"),
    };

    private static List<string> JoinBytes(List<string> tokens)
    {
        var joined = new List<string>(tokens.Count);
        var bytes = new List<byte>();
        foreach (var token in tokens)
        {
            if (ByteOf(token) is { } one)
            {
                bytes.Add(one);
                continue;
            }
            Flush();
            joined.Add(token);
        }
        Flush();
        return joined;

        void Flush()
        {
            if (bytes.Count > 0) joined.Add(TextOf([.. bytes]));
            bytes.Clear();
        }
    }

    private static byte? ByteOf(string token) => token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
        && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) ? value : null;

    private static string TextOf(byte[] bytes)
    {
        try
        {
            return StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            return new('\uFFFD', bytes.Length);
        }
    }

    private static string Stripped(string token, TokenDecoderStep.Strip strip)
    {
        var (start, end) = (0, token.Length);
        while (start < end && start < strip.Start && token[start] == strip.Content) start++;
        while (end > start && token.Length - end < strip.Stop && token[end - 1] == strip.Content) end--;
        return token[start..end];
    }
}
