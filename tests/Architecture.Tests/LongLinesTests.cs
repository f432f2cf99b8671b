using System.Globalization;

namespace Phi3VCluster.Architecture.Tests;

/// <summary>Lines fit beside each other on a screen: 140 columns.</summary>
public sealed class LongLinesTests
{
    private const int MostColumns = 140;

    private static readonly string[] Kinds = [".cs", ".cu", ".csproj", ".props", ".yaml"];

    [Fact]
    public void No_line_is_longer_than_a_screen_is_wide() => Problems.None(
        Repository.TextFiles.Where(file => Kinds.Any(kind => file.Path.EndsWith(kind, StringComparison.Ordinal)))
            .SelectMany(file => file.Text.Split('\n').Index().Where(line => IsLong(line.Item))
                .Select(line => $"{file.Path}:{line.Index + 1}")),
        $"Wrap these lines, of more than {MostColumns} columns:");

    private static bool IsLong(string line) => new StringInfo(line.TrimEnd('\r')).LengthInTextElements > MostColumns;
}
