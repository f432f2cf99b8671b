using System.Text.RegularExpressions;

namespace Phi3VCluster.Architecture.Tests;

/// <param name="Path">Relative to the repository's root.</param>
internal sealed partial record SourceFile(string Path, string Text)
{
    private string? _code;

    /// <summary>C# without its comments and literals; line breaks stay, so that lines keep their numbers.</summary>
    public string Code => _code ??= CommentOrLiteral().Replace(Text, match => LineContent().Replace(match.Value, ""));

    /// <summary>"path:line: text" of every match in <see cref="Text"/>.</summary>
    public IEnumerable<string> Matches(Regex pattern) => Matches(pattern, Text);

    /// <summary>"path:line: text" of every match outside of comments and literals.</summary>
    public IEnumerable<string> MatchesInCode(Regex pattern) => Matches(pattern, Code);

    private IEnumerable<string> Matches(Regex pattern, string text) =>
        pattern.Matches(text).Select(match => $"{Path}:{text.AsSpan(0, match.Index).Count('\n') + 1}: {match.Value.Trim()}");

    // In this order: what begins earlier wins, and of two that begin together the first listed.
    [GeneratedRegex(""""
        //[^\n]* | /\*.*?\*/ | (?<q>"{3,}).*?\k<q> | @"(?:[^"]|"")*" | "(?:\\.|[^"\\\n])*" | '(?:\\.[^']*|[^'\\\n])'
        """", RegexOptions.IgnorePatternWhitespace | RegexOptions.Singleline)]
    private static partial Regex CommentOrLiteral();

    [GeneratedRegex(@"[^\n]")]
    private static partial Regex LineContent();
}
