using System.Globalization;
using System.Text;

namespace Phi3VCluster.Training.Evaluation;

/// <summary>Python's string methods where .NET's differ: published scores were computed with them.</summary>
internal static class PythonText
{
    private const char CapitalSigma = 'Σ', FinalSigma = 'ς', SmallSigma = 'σ';
    /// <summary>Punctuation inside words that Unicode counts as case-ignorable beside the categories below.</summary>
    private const string CaseIgnorable = "'.:·’‘․‧﹒﹕＇．：";

    /// <summary><c>text.strip().strip(".")</c>.</summary>
    public static string StripAnswer(string text)
    {
        var (start, end) = (0, text.Length);
        while (start < end && IsSpace(text[start])) start++;
        while (end > start && IsSpace(text[end - 1])) end--;
        return text[start..end].Trim('.');
    }

    /// <summary><c>text.lower()</c>: also İ to two code points, and Σ to ς at the end of a word.</summary>
    public static string Lower(string text)
    {
        var runes = text.EnumerateRunes().ToArray();
        var lower = new StringBuilder(text.Length);
        for (var i = 0; i < runes.Length; i++)
        {
            if (runes[i].Value == CapitalSigma) lower.Append(IsFinal(runes, i) ? FinalSigma : SmallSigma);
            else if (runes[i].Value == 'İ') lower.Append("i\u0307");
            else lower.Append(Rune.ToLowerInvariant(runes[i]).ToString());
        }
        return lower.ToString();
    }

    /// <summary><c>str.isspace</c>: four separators more than .NET's.</summary>
    private static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\u001c' and <= '\u001f';

    private static bool IsFinal(Rune[] text, int at) =>
        text[..at].Reverse().SkipWhile(IsCaseIgnorable).Take(1).Any(IsCased)
            && !text[(at + 1)..].SkipWhile(IsCaseIgnorable).Take(1).Any(IsCased);

    private static bool IsCased(Rune rune) => Rune.GetUnicodeCategory(rune)
        is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter;

    private static bool IsCaseIgnorable(Rune rune) => CaseIgnorable.Contains(rune.ToString(), StringComparison.Ordinal)
        || Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format
            or UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol;
}
