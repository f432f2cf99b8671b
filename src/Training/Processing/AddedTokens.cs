using System.Buffers;
using System.Text;

namespace Phi3VCluster.Training.Processing;

/// <summary>A token beside the trained vocabulary, taken from the text as it stands.</summary>
/// <param name="StripLeft">Swallows the whitespace before it.</param>
/// <param name="StripRight">Swallows the whitespace after it.</param>
/// <param name="SingleWord">Only where no letter, digit or underscore touches it.</param>
/// <param name="Normalized">Looked for in the normalised text, spelled as the normaliser would spell it.</param>
internal sealed record AddedToken(int Id, string Content, bool Special, bool StripLeft, bool StripRight, bool SingleWord, bool Normalized);

/// <summary>Finds added tokens in text: leftmost first, the longest where several start, as <c>tokenizers</c> does.</summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<char, AddedToken[]> _byFirst;
    private readonly SearchValues<char> _first;

    public AddedTokens(IEnumerable<AddedToken> tokens)
    {
        _byFirst = tokens.Where(t => t.Content.Length > 0).GroupBy(t => t.Content[0])
            .ToDictionary(g => g.Key, g => g.OrderByDescending(t => t.Content.Length).ToArray());
        _first = SearchValues.Create([.. _byFirst.Keys]);
    }

    /// <summary>Matches in order, whitespace they swallow included; they do not overlap.</summary>
    public List<(int Start, int End, int Id)> Find(string text)
    {
        var found = new List<(int, int, int)>();
        var done = 0;
        for (var at = 0; at < text.Length;)
        {
            var skip = text.AsSpan(at).IndexOfAny(_first);
            if (skip < 0) break;
            at += skip;
            if (LongestAt(text, at) is not { } token)
            {
                at++;
                continue;
            }
            var (start, end) = (at, at + token.Content.Length);
            at = end;
            if (token.SingleWord && (IsWord(text, start - 1) || IsWord(text, end))) continue;
            if (token.StripLeft)
                while (start > done && char.IsWhiteSpace(text[start - 1])) start--;
            if (token.StripRight)
                while (end < text.Length && char.IsWhiteSpace(text[end])) end++;
            found.Add((Math.Max(start, done), end, token.Id));
            done = end;
        }
        return found;
    }

    private AddedToken? LongestAt(string text, int at)
    {
        foreach (var token in _byFirst[text[at]])
            if (string.CompareOrdinal(text, at, token.Content, 0, token.Content.Length) == 0)
                return token;
        return null;
    }

    private static bool IsWord(string text, int at) => at >= 0 && at < text.Length && (char.IsLetterOrDigit(text[at]) || text[at] == '_');
}
