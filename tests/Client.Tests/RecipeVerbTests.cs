using System.Text.Json;
using Phi3VCluster.Client.Recipes;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Client.Tests;

/// <summary>The built CLI: recipes by name.</summary>
public sealed class RecipeVerbTests : IDisposable
{
    private const string Name = "docvqa-lora-bf16";

    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task The_list_is_an_array_of_rows_with_figures_and_cards()
    {
        JsonElement[] rows = [.. (await _cli.JsonAsync(0, "recipes")).EnumerateArray()];

        Assert.Equal(BuiltInRecipes.Names, rows.Select(row => Text(row, "name")!));
        var lora = rows.Single(row => Text(row, "name") == Name);
        Assert.Equal(("lora", "bf16", "docvqa", "anls"),
            (Text(lora, "method"), Text(lora, "dtype"), Text(lora, "dataset"), Text(lora, "metric")));
        Assert.Equal((64, 2e-4, 2, BuiltInRecipes.Find(Name)!.Expected[0].Value),
            (Number(lora, "batch"), Number(lora, "learning_rate"), Number(lora, "epochs"), Number(lora, "expected")));
        Assert.All(lora.GetProperty("gpus").EnumerateArray(), gpu =>
        {
            Assert.InRange(Number(gpu, "estimated_gb")!.Value, 1, Number(gpu, "gb")!.Value);
            Assert.InRange(Number(gpu, "count")!.Value, 1, 8);
        });
        Assert.DoesNotContain(lora.GetProperty("gpus").EnumerateArray(), gpu => Text(gpu, "gpu") is "V100" or "T4"); // no bf16 there
        Assert.All(rows, row => Assert.False(row.TryGetProperty("text", out _)));
    }

    [Fact]
    public async Task For_a_person_it_is_a_table_that_says_its_cards_are_computed()
    {
        var list = await _cli.RunAsync("recipes");

        Assert.Equal((0, ""), (list.ExitCode, list.Stderr));
        Assert.All(BuiltInRecipes.Names, name => Assert.Contains($"\n{name} ", list.Stdout));
        Assert.Contains("not measured on GPUs", list.Stdout);
    }

    [Fact]
    public async Task A_name_prints_the_YAML_itself_and_what_was_saved_can_be_submitted()
    {
        var printed = await _cli.RunAsync("recipes", Name);
        var row = await _cli.JsonAsync(0, "recipes", Name);
        WriteModelAndData();

        Assert.Equal((0, BuiltInRecipes.Find(Name)!.Text, ""), (printed.ExitCode, printed.Stdout, printed.Stderr));
        Assert.Equal((Name, printed.Stdout), (Text(row, "name"), Text(row, "text")));
        AssertStopsForLackOfACluster(await _cli.RunAsync("submit", _cli.Write("mine.yaml", printed.Stdout), "--set", "epochs=1"));
    }

    [Fact]
    public async Task A_recipe_is_submitted_by_name()
    {
        WriteModelAndData();

        AssertStopsForLackOfACluster(await _cli.RunAsync("submit", Name));
    }

    [Fact]
    public async Task With_training_data_of_ones_own_the_recipe_s_held_out_files_may_be_missing()
    {
        WriteModelAndData();
        Directory.Delete(_cli.At("data"), recursive: true);
        string[] submit = ["submit", Name, "--set", $"data.train={_cli.Write("mine.parquet", "")}"];

        var without = await _cli.RunAsync(submit);
        var withOther = await _cli.RunAsync([.. submit, "--set", "data.eval=nothing.parquet"]);

        AssertStopsForLackOfACluster(without);
        Assert.StartsWith(
            "phi3v: warning: data.eval: the recipe's held-out samples are not here, got data/docvqa/**/test-*.parquet; ", without.Stderr);
        Assert.Equal((2, $"phi3v: data.eval: no file matches, got nothing.parquet (in {_cli.Folder}); give a file or a glob.\n"),
            (withOther.ExitCode, withOther.Stderr));
    }

    [Fact]
    public async Task Missing_files_are_named_with_the_commands_that_fetch_them()
    {
        var result = await _cli.RunAsync("submit", Name);

        Assert.Equal((2, ""), (result.ExitCode, result.Stdout));
        string[] lines = result.Stderr.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(["model.path", "data.train", "data.eval", Name, Name], lines.Select(line => line["phi3v: ".Length..].Split(':')[0]));
        Assert.Contains("`phi3v download model microsoft/Phi-3-vision-128k-instruct --to models/phi-3-vision`", lines[3]);
        Assert.Contains("`phi3v download dataset nielsr/docvqa_1200_examples --include '*.parquet' --to data/docvqa`", lines[4]);
    }

    [Fact]
    public async Task A_file_of_a_recipe_s_name_wins()
    {
        _cli.Write(Name, "epochs: 0\n");

        var result = await _cli.RunAsync("submit", Name);

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("phi3v: epochs: must be at least 1, got 0", result.Stderr);
    }

    [Theory]
    [InlineData("SPEC: neither a file nor a recipe, got docvqa-lora-bf61; did you mean docvqa-lora-bf16? "
        + "`phi3v recipes` lists the recipes.",
        "submit", "docvqa-lora-bf61")]
    [InlineData("SPEC: neither a file nor a recipe, got nonsense.yaml; `phi3v recipes` lists the recipes.", "submit", "nonsense.yaml")]
    [InlineData("NAME: no such recipe, got hatefull-memes-full-bf16; did you mean hateful-memes-full-bf16? "
        + "`phi3v recipes` lists the recipes.",
        "recipes", "hatefull-memes-full-bf16")]
    public async Task An_unknown_name_suggests_the_nearest(string message, params string[] arguments)
    {
        var result = await _cli.RunAsync(arguments);

        Assert.Equal((2, "", $"phi3v: {message}\n"), (result.ExitCode, result.Stdout, result.Stderr));
    }

    private static void AssertStopsForLackOfACluster(ProcessResult result)
    {
        Assert.Equal((3, ""), (result.ExitCode, result.Stdout));
        Assert.Contains("phi3v up", result.Stderr);
    }

    private void WriteModelAndData()
    {
        _cli.Write("models/phi-3-vision/config.json", "{}");
        _cli.Write("models/phi-3-vision/model.safetensors", "");
        _cli.Write("data/docvqa/data/train-00000-of-00001.parquet", "");
        _cli.Write("data/docvqa/data/test-00000-of-00001.parquet", "");
    }

    private static string? Text(JsonElement row, string name) => row.GetProperty(name).GetString();

    private static double? Number(JsonElement row, string name) =>
        row.GetProperty(name) is { ValueKind: JsonValueKind.Number } number ? number.GetDouble() : null;
}
