using System.Globalization;

namespace Phi3VCluster.Spec.Recipes;

/// <summary>A run spec that comes with what it is expected to reach: a YAML file whose first lines are comments with a meaning.</summary>
/// <param name="Text">The file as it is.</param>
/// <param name="Expected">What was measured, the main figure first; from the line <c># Expected: anls 82.46, …</c>.</param>
/// <param name="Samples">Training samples of the data it names; from the line <c># Samples: 1000</c>.</param>
/// <param name="Fetches">Commands that put model and data where the spec looks for them; from the lines <c># Fetch: phi3v …</c>.</param>
public sealed record Recipe(string Text, RunSpec Spec, IReadOnlyList<ExpectedFigure> Expected, long? Samples, IReadOnlyList<string> Fetches)
{
    private const string ExpectedMark = "# Expected: ", FetchMark = "# Fetch: ", SamplesMark = "# Samples: ";

    public string Name => Spec.Name;

    /// <summary>The figure of that name; null where nothing was measured.</summary>
    public double? Figure(string name) => Expected.FirstOrDefault(figure => figure.Name == name)?.Value;

    /// <summary>The fetching commands for what <paramref name="problems"/> say is missing: they name its folder.</summary>
    public IReadOnlyList<string> FetchesFor(IReadOnlyList<string> problems) =>
        [.. Fetches.Where(fetch => problems.Any(problem => problem.Contains(fetch.Split(' ')[^1], StringComparison.Ordinal)))];

    /// <param name="source">What errors call the text.</param>
    /// <exception cref="InputException">Not a run spec, or an expectation that is not names with numbers.</exception>
    public static Recipe Parse(string text, string source)
    {
        var head = text.Split('\n').TakeWhile(line => line.StartsWith('#')).ToArray();
        var figures = Marked(ExpectedMark).SelectMany(line => line.Split(", ")).Select(figure => ExpectedFigure.Parse(figure, source));
        var samples = Marked(SamplesMark).Select(number => Count(number, source)).Cast<long?>().FirstOrDefault();
        return new(text, RunSpecYaml.Parse(text, [], source), [.. figures], samples, [.. Marked(FetchMark)]);

        IEnumerable<string> Marked(string mark) =>
            head.Where(line => line.StartsWith(mark, StringComparison.Ordinal)).Select(line => line[mark.Length..].Trim());
    }

    private static long Count(string text, string source) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0 ? count
            : throw new InputException($"{source}: the number of samples must be a whole number above 0, got {text}; "
                + "write for example 1000.");
}

/// <param name="Name">E.g. anls, accuracy, images_per_second.</param>
public sealed record ExpectedFigure(string Name, double Value)
{
    internal static ExpectedFigure Parse(string text, string source) =>
        text.Split(' ') is [var name, var number] && double.TryParse(number, CultureInfo.InvariantCulture, out var value)
            ? new(name, value)
            : throw new InputException($"{source}: what is expected must be a name and a number, got {text}; "
                + "write for example anls 82.46.");
}
