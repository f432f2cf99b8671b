using System.Globalization;

namespace Phi3VCluster.Architecture.Tests;

/// <summary>
/// Lines fit beside each other on a screen: 140 columns. What was there before this rule is counted by file in long-lines.txt, a list that
/// only shrinks.
/// </summary>
public sealed class LongLinesTests
{
    private const int MostColumns = 140;
    private const string ListPath = "tests/Architecture.Tests/long-lines.txt";

    private static readonly string[] Kinds = [".cs", ".cu", ".csproj", ".props", ".yaml"];

    private static readonly Dictionary<string, int> Found = Repository.TextFiles
        .Where(file => Kinds.Any(kind => file.Path.EndsWith(kind, StringComparison.Ordinal)))
        .Select(file => (file.Path, Count: file.Text.Split('\n').Count(IsLong)))
        .Where(file => file.Count > 0).ToDictionary(file => file.Path, file => file.Count);

    /// <summary>Lines of "number path".</summary>
    private static readonly Dictionary<string, int> Granted = File.ReadLines(Path.Combine(Repository.Root, ListPath))
        .Select(line => line.Split(' ', 2)).ToDictionary(parts => parts[1], parts => int.Parse(parts[0], CultureInfo.InvariantCulture));

    [Fact]
    public void No_file_has_more_long_lines_than_the_list_still_grants() => Problems.None(
        Found.Where(file => file.Value > Granted.GetValueOrDefault(file.Key))
            .Select(file => $"{file.Key}: {file.Value} lines of more than {MostColumns} columns, {Granted.GetValueOrDefault(file.Key)} are granted"),
        "Wrap these lines:");

    [Fact]
    public void The_list_grants_no_more_than_there_are() => Problems.None(
        Granted.Where(file => file.Value > Found.GetValueOrDefault(file.Key))
            .Select(file => $"{file.Key}: {Found.GetValueOrDefault(file.Key)} are left of {file.Value}"),
        $"Lower the numbers in {ListPath}, or take the files out:");

    private static bool IsLong(string line) => new StringInfo(line.TrimEnd('\r')).LengthInTextElements > MostColumns;
}
