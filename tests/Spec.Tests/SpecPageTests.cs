using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Phi3VCluster.Spec.Tests;

/// <summary>What the documentation says of the spec is what the spec has.</summary>
public sealed partial class SpecPageTests
{
    public static TheoryData<string> Pages =>
        [.. new[] { "README.md" }.Concat(Directory.EnumerateFiles(At("docs"), "*.md", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(At(""), file)))];

    [Fact]
    public void Every_key_is_documented_once_and_no_other_is() =>
        Assert.Equal(RunSpecYaml.Keys.Order(StringComparer.Ordinal), Documented().Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Pages))]
    public void A_key_that_a_page_names_exists(string page)
    {
        string[] sections = [.. RunSpecYaml.Keys.Where(key => key.Contains('.')).Select(key => key[..key.LastIndexOf('.')]).Distinct()];
        var named = NamedKey().Matches(File.ReadAllText(At(page))).Select(match => match.Groups[1].Value)
            .Where(key => sections.Any(section => key.StartsWith($"{section}.", StringComparison.Ordinal)));

        string[] unknown = [.. named.Except(RunSpecYaml.Keys).Except(sections).Where(key => !FileName().IsMatch(key))];
        Assert.Empty(unknown);
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public void A_spec_that_a_page_shows_is_a_good_one(string page)
    {
        foreach (var spec in Yaml().Matches(File.ReadAllText(At(page))).Select(match => match.Groups[1].Value))
            if (spec.Contains("model:", StringComparison.Ordinal)) Assert.Empty(RunSpecYaml.Read(spec, []).Problems);
    }

    /// <summary>The keys of the page's first table; one that begins with a dot stands in the section of the one before it.</summary>
    private static IEnumerable<string> Documented()
    {
        var rows = File.ReadLines(At("docs/spec.md")).SkipWhile(line => !line.StartsWith("| key |", StringComparison.Ordinal)).Skip(2)
            .TakeWhile(line => line.StartsWith('|'));
        foreach (var row in rows)
        {
            var section = "";
            foreach (var key in Quoted().Matches(row.Split('|')[1]).Select(match => match.Groups[1].Value))
            {
                if (!key.StartsWith('.')) section = key.Contains('.') ? key[..key.LastIndexOf('.')] : "";
                yield return key.StartsWith('.') ? section + key : key;
            }
        }
    }

    private static string At(string path, [CallerFilePath] string here = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../..", path));

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Quoted();

    /// <summary>Between quotes of code, or behind <c>--set</c>.</summary>
    [GeneratedRegex(@"(?:`|--set '?)([a-z]+(?:\.[A-Za-z]+)+)(?==|`|:)")]
    private static partial Regex NamedKey();

    [GeneratedRegex(@"^model\.safetensors|\.(json|jsonl|md|yaml|cs|pt)$")]
    private static partial Regex FileName();

    [GeneratedRegex("```yaml\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Yaml();
}
