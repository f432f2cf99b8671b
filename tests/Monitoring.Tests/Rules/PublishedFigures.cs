using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Phi3VCluster.Spec.Recipes;

namespace Phi3VCluster.Monitoring.Tests.Rules;

/// <summary>Writes <c>deploy/prometheus/rules/published.yml</c>, the table that the live one stands beside, from the recipes.</summary>
internal static partial class PublishedFigures
{
    public static string Text()
    {
        var rules = new StringBuilder("""
            # The recipe's published speed table. Written by a test from recipes/speed-*.yaml. Gigabytes are taken as 10⁹ bytes.
            groups:
              - name: phi3v-published
                rules:

            """);
        foreach (var recipe in Recipes())
        {
            Add(recipe, "images_per_second", recipe.Figure("images_per_second"));
            Add(recipe, "speedup_ratio", recipe.Figure("speedup"));
            Add(recipe, "gpu_memory_peak_bytes", recipe.Figure("peak_gpu_gb") * 1e9);
        }
        return rules.ToString();

        void Add(Recipe recipe, string column, double? value)
        {
            var name = RowName().Match(recipe.Name);
            var card = name.Groups["card"].Value == "a100" ? "a100-80gb" : "v100-32gb";
            var flash = name.Groups["kernel"].Value == "flash" ? "true" : "false";
            rules.AppendLine(CultureInfo.InvariantCulture, $"      - record: phi3v:published_{column}")
                .AppendLine(CultureInfo.InvariantCulture, $"        expr: vector({value:0.###})")
                .AppendLine("        labels:")
                .AppendLine(CultureInfo.InvariantCulture,
                    $"          {{ recipe: {recipe.Name}, card: {card}, method: {recipe.Spec.Method.Kind},")
                .AppendLine(CultureInfo.InvariantCulture,
                    $"            flash_attention: \"{flash}\", nodes: \"{name.Groups["nodes"]}\", "
                        + $"gpus: \"{recipe.Spec.Cluster.MaxRanks}\" }}");
        }
    }

    public static IReadOnlyList<Recipe> Recipes() =>
    [
        .. Directory.GetFiles(Checkout.At("recipes"), "speed-*.yaml").Order(StringComparer.Ordinal)
            .Select(file => Recipe.Parse(File.ReadAllText(file), Path.GetFileName(file))),
    ];

    [GeneratedRegex(@"^speed-(?<card>a100|v100)-.+-(?<nodes>\d+)x8-(?<kernel>eager|flash)$")]
    private static partial Regex RowName();
}
