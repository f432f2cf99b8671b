using System.Text.RegularExpressions;

namespace Phi3VCluster.Architecture.Tests;

public sealed partial class TextTests
{
    private const int MostLines = 400;

    [Fact]
    public void No_source_file_is_longer_than_400_lines()
    {
        Assert.NotEmpty(Repository.CSharpFiles());
        Problems.None(
            from file in Repository.CSharpFiles()
            let lines = file.Text.AsSpan().Count('\n')
            where lines > MostLines
            select $"{file.Path}:{MostLines + 1}: {lines} lines",
            "A file holds one idea; split these:");
    }

    [Fact]
    public void Nothing_is_left_to_be_done_later() =>
        Problems.None(Repository.TextFiles.SelectMany(file => file.Matches(LeftForLater())), "Do it now or delete the note:");

    [Fact]
    public void No_file_names_a_path_of_one_persons_machine() => Problems.None(
        Repository.TextFiles.SelectMany(file => file.Matches(PersonalPath()).Concat(file.Matches(ThisCheckout()))),
        "Use a path relative to the repository, or one the user gives:");

    [Fact]
    public void The_model_uses_no_operation_whose_number_a_garbage_collection_may_free() => Problems.None(
        Repository.CSharpFiles()
            .Where(file => file.Path.StartsWith("src/Training/", StringComparison.Ordinal)
                && !file.Path.EndsWith("/ScalarOps.cs", StringComparison.Ordinal))
            .SelectMany(file => file.MatchesInCode(HiddenScalar())),
        "TorchSharp makes a Scalar that nothing keeps alive; use the one of ScalarOps:");

    [Fact]
    public void Every_package_is_accounted_for_in_the_documentation()
    {
        var versions = Repository.TextFiles.Single(file => file.Path == "Directory.Packages.props");
        var documented = Repository.TextFiles.Single(file => file.Path == "docs/dependencies.md");

        var pinned = PinnedPackage().Matches(versions.Text).Select(match => match.Groups["name"].Value).ToList();
        var described = DescribedPackage().Matches(documented.Text).Select(match => match.Groups["name"].Value).ToList();
        Assert.NotEmpty(pinned);
        Assert.Equal(pinned.Order(), described.Order());
    }

    [Theory]
    [InlineData("see /hom", "e/anna/data")]
    [InlineData("cp x /roo", "t/.cache")]
    [InlineData("C:", @"\Users\anna")]
    public void A_personal_path_is_found_on_its_line(string before, string after) =>
        Assert.StartsWith("a.md:2: ", Assert.Single(new SourceFile("a.md", $"first line\n{before}{after}").Matches(PersonalPath())));

    [Fact]
    public void Comments_and_literals_are_no_code_and_lines_keep_their_numbers()
    {
        SourceFile file = new("A.cs", "// word\n/* word\n word */ var a = \"word\"; var b = @\"word \"\"word\"; var c = '\"';\nword();");
        Assert.Equal(["A.cs:4: word"], file.MatchesInCode(new Regex("word")));
    }

    [GeneratedRegex(@"\b(?:TO[D]O|FIX[M]E)\b.*")]
    private static partial Regex LeftForLater();

    [GeneratedRegex(@"(?<![\w.}])(?:/(?:home|root|Users)/|[A-Z]:\\Users\\).*")]
    private static partial Regex PersonalPath();

    [GeneratedRegex(@"\.(?:add|add_|index_add|index_add_|masked_fill|masked_fill_)\(|\b(?:arange|full|full_like)\(")]
    private static partial Regex HiddenScalar();

    /// <summary>Where this checkout lies, unless that is so short a path (/src) that a container may well have it too.</summary>
    private static Regex ThisCheckout() => new(Repository.Root.AsSpan().Count('/') > 1 ? Regex.Escape(Repository.Root) : "(?!)");

    [GeneratedRegex("<PackageVersion Include=\"(?<name>[^\"]+)\"")]
    private static partial Regex PinnedPackage();

    /// <summary>A row of the table begins with the package's name in backquotes.</summary>
    [GeneratedRegex(@"^\| `(?<name>[^`]+)`", RegexOptions.Multiline)]
    private static partial Regex DescribedPackage();
}
