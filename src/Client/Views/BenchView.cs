using Phi3VCluster.Client.App;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Views;

/// <summary>The speed table for people, in the recipe's form, and, in snake_case, for machines.</summary>
internal sealed class BenchView(BenchResult result)
{
    private const double Giga = 1e9, Tera = 1e12;

    /// <summary>The first that ran: the recipe's is full fine-tuning without flash attention.</summary>
    private BenchRow? Base => result.Rows.FirstOrDefault(row => row.NotRun is null);

    public bool HasRun => Base is not null;

    public object Document() => new
    {
        Table = "speed",
        result.Device,
        result.Gpus,
        result.Model,
        ReleasedSize = result.IsReleasedSize,
        result.PageTokens,
        result.PageCrops,
        CeilingTflops = result.Ceiling / Tera,
        Rows = result.Rows.Select(row => new
        {
            row.Method,
            row.Precision,
            row.FlashAttention,
            row.Gpus,
            row.MicroBatch,
            row.EffectiveBatch,
            row.ActivationCheckpointing,
            row.Steps,
            row.ImagesPerSecond,
            Speedup = Speedup(row),
            PeakGb = row.PeakBytes / Giga,
            Mfu = Utilization(row),
            row.NotRun,
        }),
        result.Seconds,
    };

    public void Show(Output to)
    {
        to.Sentence(result.IsReleasedSize
            ? $"{result.Gpus} × {result.Device["cuda ".Length..]}, random weights of the released size: {result.Model}"
            : $"CPU, float32, one rank: a small model stands for the released one: {result.Model}");
        var ran = result.Rows.Where(row => row.NotRun is null).ToList();
        if (ran.Count > 0)
            Tables.Write(to,
                [
                    new("method"), new("dtype", 5), new("flash attention", 2), new("GPUs", 2), new("batch per GPU / effective", 4),
                    new("recomputes", 6), new("img/s"), new("speed-up"), new("peak GB", 1), new("MFU", 3),
                ],
                ran.Select(row => (string[])
                [
                    row.Method, row.Precision, row.FlashAttention ? "yes" : "no", row.Gpus == 0 ? "CPU" : $"{row.Gpus}",
                    $"{row.MicroBatch} / {row.EffectiveBatch}", row.ActivationCheckpointing ?? "",
                    Words.Number(row.ImagesPerSecond, "0.000"),
                    $"{Words.Number(Speedup(row), "0.00")}x", row.PeakBytes is { } peak ? Words.Number(peak / Giga, "0.00") : "",
                    Utilization(row) is { } mfu ? $"{Words.Number(100 * mfu, "0.0")} %" : "",
                ]));
        foreach (var reason in result.Rows.Where(row => row.NotRun is not null).GroupBy(row => row.NotRun))
            to.Sentence($"not run: {string.Join("; ", reason.Select(Name))}: {reason.Key}");
        to.Sentence($"pages of {Words.Number(result.PageTokens, "#,0")} tokens and {Words.Number(result.PageCrops, "0.##")} crops "
            + "on average, made beforehand; MFU: the maps' products, nothing counted twice, of "
            + $"{Words.Number(result.Ceiling / Tera, "0.0##")} TFLOP/s that one large product reaches here; "
            + $"{Words.Took(result.Seconds)} in all");
    }

    private static string Name(BenchRow row) =>
        $"{row.Method}{(row.FlashAttention ? " with flash attention" : "")}{(row.Gpus == 0 ? "" : $" on {row.Gpus}")}";

    private double? Utilization(BenchRow row) => row.Operations / result.Ceiling;

    private double? Speedup(BenchRow row) => row.ImagesPerSecond / Base?.ImagesPerSecond;
}
