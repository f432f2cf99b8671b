using System.Text.RegularExpressions;

namespace Phi3VCluster.Architecture.Tests;

/// <summary>Whoever meets a public type finds a sentence that says what it is.</summary>
public sealed partial class DocCommentsTests
{
    [Fact]
    public void Every_public_type_says_what_it_is() => Problems.None(
        from file in Repository.TextFiles
        where file.Path.StartsWith("src/", StringComparison.Ordinal) && file.Path.EndsWith(".cs", StringComparison.Ordinal)
        let lines = file.Text.Split('\n')
        from number in Enumerable.Range(0, lines.Length)
        where PublicType().IsMatch(lines[number]) && !HasComment(lines, number)
        select $"{file.Path}:{number + 1}: {lines[number].Trim()}",
        "Write a <summary> or a <param> above:");

    private static bool HasComment(string[] lines, int number)
    {
        var above = number - 1;
        while (above >= 0 && lines[above].StartsWith('[')) above--; // attributes stand between
        return above >= 0 && lines[above].StartsWith("///", StringComparison.Ordinal);
    }

    [GeneratedRegex(@"^public ((static|sealed|abstract|partial|readonly|unsafe|ref) )*(class|record|struct|interface|enum|delegate)\b")]
    private static partial Regex PublicType();
}
