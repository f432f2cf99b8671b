using System.Text;
using System.Text.RegularExpressions;

namespace Phi3VCluster.Training.Processing;

/// <summary>About how many tokens a text has, without a tokenizer.</summary>
public static partial class TextEstimate
{
    /// <summary>Of English questions and their answers. A question has 3.7 bytes a token, an answer, of names and numbers, 2.2.</summary>
    private const double BytesPerToken = 3;

    /// <summary>For <see cref="SampleMeasure"/>; tokens such as &lt;|end|&gt; count one each.</summary>
    public static int Tokens(string text)
    {
        var (tokens, done) = (0, 0);
        foreach (var match in Special().EnumerateMatches(text))
        {
            tokens += 1 + Plain(text.AsSpan(done, match.Index - done));
            done = match.Index + match.Length;
        }
        return tokens + Plain(text.AsSpan(done));
    }

    private static int Plain(ReadOnlySpan<char> text) => (int)Math.Ceiling(Encoding.UTF8.GetByteCount(text) / BytesPerToken);

    [GeneratedRegex(@"<\|[a-z]+\|>")]
    private static partial Regex Special();
}
