using System.Text.Json.Serialization;
using Phi3VCluster.Client.App;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Spec.Recipes;

namespace Phi3VCluster.Client.Views;

/// <summary>A recipe as <c>--json</c> shows it (snake_case of these names).</summary>
/// <param name="Metric">What <paramref name="Expected"/> is: anls, accuracy or images_per_second; null where nothing is expected.</param>
/// <param name="Gpus">The fewest of each kind that hold the run, by arithmetic.</param>
/// <param name="Text">The YAML, where one recipe was asked for.</param>
internal sealed record RecipeRow(
    string Name, string Method, string Dtype, string Dataset, int? LoraRank, double? LoraAlpha, string Attention,
    int Batch, double LearningRate, int Epochs, int MinRanks, int MaxRanks,
    string? Metric, double? Expected, double? Speedup, double? PeakGpuGb, IReadOnlyList<GpuRow> Gpus,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Text)
{
    public static RecipeRow Of(Recipe recipe, bool withText = false)
    {
        var (spec, main) = (recipe.Spec, recipe.Expected.FirstOrDefault());
        var method = spec.Method.Kind is "lora" or "qlora" ? spec.Method : null;
        return new(recipe.Name, spec.Method.Kind, spec.Precision, spec.Data.Kind,
            method?.Rank, method is null ? null : method.Alpha ?? 2.0 * method.Rank, spec.Attention,
            spec.Batch.Global, spec.Optimizer.LearningRate, spec.Epochs, spec.Cluster.MinRanks, spec.Cluster.MaxRanks,
            main?.Name, main?.Value, recipe.Figure("speedup"), recipe.Figure("peak_gpu_gb"),
            [.. GpuFit.Fewest(spec).Select(GpuRow.Of)], withText ? recipe.Text : null);
    }

    public static void Show(Output to, IReadOnlyList<Recipe> recipes) => Tables.Write(to,
        [
            new("recipe"), new("method", 6), new("dtype", 5), new("data", 7), new("batch", 4), new("rate", 3), new("epochs", 8),
            new("expected", 1),
            new("fits (GB)", 2, Folds: true),
        ],
        recipes.Select(r => (Recipe: r, Row: Of(r))).Select(r => (string[])
        [
            r.Row.Name, r.Row.Method, r.Row.Dtype, r.Row.Dataset, $"{r.Row.Batch}", Words.Number(r.Row.LearningRate, "0.#######"),
            $"{r.Row.Epochs}", Expectation(r.Row),
            string.Join(", ", GpuFit.Telling(GpuFit.Fewest(r.Recipe.Spec)).Select(Cards)),
        ]));

    private static string Cards(GpuFit fit) => $"{fit.Count} × {fit.Card.Name} {fit.Card.Gigabytes}";

    private static string Expectation(RecipeRow row) => row.Metric switch
    {
        null => "",
        "images_per_second" => $"{Words.Number(row.Expected, "0.0##")} img/s",
        _ => $"{row.Metric} {Words.Number(row.Expected, "0.0#")}",
    };
}

/// <param name="Gb">The card's memory as sold.</param>
/// <param name="EstimatedGb">What a rank would need.</param>
internal sealed record GpuRow(string Gpu, int Gb, int Count, double EstimatedGb)
{
    public static GpuRow Of(GpuFit fit) => new(fit.Card.Name, fit.Card.Gigabytes, fit.Count, Math.Round(fit.BytesEach / 1e9, 1));
}
