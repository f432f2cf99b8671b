using Phi3VCluster.Client.Recipes;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Spec.Recipes;

namespace Phi3VCluster.Client.Tests;

public sealed class RecipeTests
{
    private const string Quickstart = "quickstart";

    public static IEnumerable<TheoryDataRow<string>> Names => BuiltInRecipes.Names.Select(name => new TheoryDataRow<string>(name));

    public static IEnumerable<TheoryDataRow<string>> Rows => Names.Where(row => row.Data != Quickstart);

    [Fact]
    public void All_files_of_the_folder_are_built_in()
    {
        var root = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(root.FullName, "Phi3VCluster.sln"))) root = root.Parent!;

        var files = Directory.GetFiles(Path.Combine(root.FullName, "recipes"))
            .Select(Path.GetFileNameWithoutExtension).Order(StringComparer.Ordinal);

        Assert.Equal(files, BuiltInRecipes.Names);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Its_name_is_the_file_s(string name) => Assert.Equal(name, BuiltInRecipes.Find(name)!.Name);

    [Theory]
    [MemberData(nameof(Rows))]
    public void It_keeps_what_all_rows_have_in_common_and_expects_something(string name)
    {
        var recipe = BuiltInRecipes.Find(name)!;
        var (optimizer, spec) = (recipe.Spec.Optimizer, recipe.Spec);

        Assert.Equal(("linear", 50, 0.01, 1e-7, 1.0, "sample"),
            (optimizer.Schedule, optimizer.WarmupSteps, optimizer.WeightDecay, optimizer.Epsilon, optimizer.MaxGradNorm, optimizer.Loss));
        Assert.Equal([0.9, 0.95], optimizer.Betas);
        Assert.Equal((64, 16, 42), (spec.Batch.Global, spec.Model.NumCrops, spec.Seed));
        Assert.Equal((0, false, false, null), (spec.Method.Dropout, spec.Method.Dora, spec.Method.FreezeVision, spec.Method.Targets));
        Assert.NotEmpty(recipe.Expected);
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void It_looks_where_its_downloads_put_the_files(string name)
    {
        var recipe = BuiltInRecipes.Find(name)!;
        var data = recipe.Spec.Data;

        var folders = recipe.Fetches.Select(fetch => fetch.Split(' ')[^1]).ToArray();

        Assert.Equal(recipe.Spec.Model.Path, folders[0]);
        Assert.All([data.Train, data.Eval ?? data.Train], files => Assert.StartsWith(folders[1] + '/', files));
        Assert.Equal(recipe.Fetches, recipe.FetchesFor(RunSpecFiles.Problems(recipe.Spec)));
    }

    [Theory]
    [InlineData("speed-a100-", "A100", 80)]
    [InlineData("speed-v100-", "V100", 32)]
    public void By_arithmetic_a_speed_row_fits_the_cards_it_was_measured_on(string prefix, string card, int gigabytes) =>
        Assert.All(BuiltInRecipes.Names.Where(name => name.StartsWith(prefix, StringComparison.Ordinal)), name =>
        {
            var spec = BuiltInRecipes.Find(name)!.Spec;
            Assert.Contains(GpuFit.Fewest(spec),
                fit => (fit.Card.Name, fit.Card.Gigabytes, fit.Count) == (card, gigabytes, spec.Cluster.MinRanks));
        });

    [Theory]
    [InlineData("# Expected: anls\n", "anls")]
    [InlineData("# Expected: anls 1.0,accuracy 2\n", "anls 1.0,accuracy 2")]
    [InlineData("# Expected: anls high\n", "anls high")]
    public void An_expectation_that_cannot_be_read_is_an_error_and_not_left_out(string head, string got)
    {
        var text = head + "model: { path: m }\ndata: { train: t }\n";

        var error = Assert.Throws<InputException>(() => Recipe.Parse(text, "mine.yaml"));

        Assert.Equal([$"mine.yaml: what is expected must be a name and a number, got {got}; write for example anls 82.46."],
            error.Problems);
    }

    [Fact]
    public void Only_comments_at_the_top_have_a_meaning()
    {
        const string text =
            "# Any words.\n# Expected: anls 82.46, seconds 3\nmodel: { path: m }\n# Expected: nothing\ndata: { train: t }\n";

        var recipe = Recipe.Parse(text, "mine.yaml");

        Assert.Equal([new("anls", 82.46), new("seconds", 3)], recipe.Expected);
        Assert.Equal((82.46, null), (recipe.Figure("anls"), recipe.Figure("accuracy")));
    }
}
