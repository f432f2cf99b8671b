using System.Text.Json;
using Phi3VCluster.Client.Recipes;
using Phi3VCluster.Spec.Recipes;

namespace Phi3VCluster.Client.Tests;

/// <summary>The recipes against the published tables, in the folder beside PHI3V_FIXTURES.</summary>
[Trait("Category", "Parity")]
public sealed class RecipeTableTests
{
    [Fact]
    public void Every_accuracy_row_has_its_recipe_with_all_its_values()
    {
        var rows = AccuracyRows(Tables()).ToArray();

        Assert.NotEmpty(rows);
        Assert.All(rows, row =>
        {
            var (name, dataset, metric, values) = row;
            var recipe = Find(name);
            var spec = recipe.Spec;
            var isLora = spec.Method.Kind is "lora" or "qlora";
            Assert.Equal((dataset, metric, metric), (spec.Data.Kind, spec.Evaluation.Metric, recipe.Expected[0].Name));
            Assert.Equal((Text(values, "method"), Text(values, "dtype")), (spec.Method.Kind, spec.Precision));
            Assert.Equal((Number(values, "lora_rank"), Number(values, "lora_alpha")),
                isLora ? (spec.Method.Rank, spec.Method.Alpha) : (null, null));
            Assert.Equal(
                (Number(values, "batch_size"), Number(values, "learning_rate"), Number(values, "epochs"), Number(values, "expected")),
                (spec.Batch.Global, spec.Optimizer.LearningRate, spec.Epochs, recipe.Expected[0].Value));
        });
        TestContext.Current.TestOutputHelper!.WriteLine($"{rows.Length} accuracy rows agree");
    }

    [Fact]
    public void Every_speed_row_has_its_recipe_with_all_its_values()
    {
        var rows = SpeedRows(Tables()).ToArray();

        Assert.NotEmpty(rows);
        Assert.All(rows, row =>
        {
            var (name, hasBf16, values) = row;
            var recipe = Find(name);
            var spec = recipe.Spec;
            var attention = values.GetProperty("flash_attention").GetBoolean() ? "flash" : "eager";
            Assert.Equal((Text(values, "method"), hasBf16 ? "bf16" : "fp16", attention),
                (spec.Method.Kind, spec.Precision, spec.Attention));
            Assert.Equal((Number(values, "gpus"), Number(values, "gpus")), (spec.Cluster.MinRanks, spec.Cluster.MaxRanks));
            Assert.Equal("images_per_second", recipe.Expected[0].Name);
            Assert.Equal((Number(values, "throughput"), Number(values, "speedup"), Number(values, "peak_gpu_mem_gb")),
                (recipe.Expected[0].Value, recipe.Figure("speedup"), recipe.Figure("peak_gpu_gb")));
        });
        TestContext.Current.TestOutputHelper!.WriteLine($"{rows.Length} speed rows agree");
    }

    [Fact]
    public void Every_recipe_but_the_quickstart_has_its_row()
    {
        var tables = Tables();

        var rows = AccuracyRows(tables).Select(row => row.Name).Concat(SpeedRows(tables).Select(row => row.Name));

        Assert.Equal(rows.Append("quickstart").Order(StringComparer.Ordinal), BuiltInRecipes.Names);
    }

    private static IEnumerable<(string Name, string Dataset, string Metric, JsonElement Values)> AccuracyRows(JsonElement tables) =>
        from dataset in tables.GetProperty("accuracy").EnumerateObject()
        from row in dataset.Value.GetProperty("rows").EnumerateArray()
        select ($"{dataset.Name}-{Text(row, "method")}-{Text(row, "dtype")}", dataset.Name,
            Text(dataset.Value, "metric").ToLowerInvariant(), row);

    private static IEnumerable<(string Name, bool HasBf16, JsonElement Values)> SpeedRows(JsonElement tables) =>
        from machine in tables.GetProperty("speed").EnumerateObject()
        where machine.Value.ValueKind == JsonValueKind.Object
        let each = machine.Value.GetProperty("gpus_per_node").GetInt32()
        let card = machine.Name.Split('-')[0]
        from row in machine.Value.GetProperty("rows").EnumerateArray()
        let attention = row.GetProperty("flash_attention").GetBoolean() ? "flash" : "eager"
        select ($"speed-{card}-{Text(row, "method")}-{Number(row, "nodes")}x{each}-{attention}", card != "v100", row);

    private static Recipe Find(string name) =>
        BuiltInRecipes.Find(name) ?? throw new Xunit.Sdk.XunitException($"there is no recipe {name}");

    private static string Text(JsonElement row, string name) => row.GetProperty(name).GetString()!;

    private static double? Number(JsonElement row, string name) =>
        row.GetProperty(name) is { ValueKind: JsonValueKind.Number } number ? number.GetDouble() : null;

    private static JsonElement Tables()
    {
        var fixtures = Environment.GetEnvironmentVariable("PHI3V_FIXTURES");
        if (string.IsNullOrEmpty(fixtures)) Assert.Skip("no tables: PHI3V_FIXTURES is not set");
        var path = Path.GetFullPath(Path.Combine(fixtures, "..", "reference", "recipe-tables.json"));
        if (!File.Exists(path)) Assert.Skip($"no tables: {path} does not exist");
        using var document = JsonDocument.Parse(File.ReadAllText(path));
        return document.RootElement.Clone();
    }
}
