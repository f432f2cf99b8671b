using System.Text.Json;

namespace Phi3VCluster.Client.Views;

/// <summary>What a run wrote into its folder, as far as this machine can see it. Everything missing is null or empty.</summary>
internal sealed record WrittenReport(long? Steps, double? FinalLoss, double? ImagesPerSecond, double? EvalBefore, double? EvalAfter)
{
    /// <summary>Of each evaluation, in the order of their steps.</summary>
    public IReadOnlyList<double> HeldOutLosses { get; private init; } = [];

    /// <summary>The folder within the run's that holds its result: adapter or model.</summary>
    public string? Exported { get; private init; }

    /// <summary>The run has come to its end.</summary>
    public bool IsDone { get; private init; }

    public static WrittenReport Read(string folder) =>
        ReadJson(Path.Combine(folder, "report.json")) is { ValueKind: JsonValueKind.Object } report
        ? new((long?)Number(report, "steps"), Number(report, "final_loss"), Number(report, "images_per_second"),
            Number(report, "eval_before"), Number(report, "eval_after"))
        {
            HeldOutLosses = report.TryGetProperty("evaluations", out var list) && list.ValueKind == JsonValueKind.Array
                ? [.. Objects(list).Select(e => Number(e, "loss")).OfType<double>()] : [],
            Exported = Text(report, "exported"),
            IsDone = report.TryGetProperty("done", out var done) && done.ValueKind == JsonValueKind.True,
        }
        : new(null, null, null, null, null);

    /// <summary>The answers that an evaluation file noted: <c>predictions</c>, each {id, prediction, answers, score}.</summary>
    public static IReadOnlyList<PredictionRow> Predictions(string folder, string file) =>
        ReadJson(Path.Combine(folder, file)) is { ValueKind: JsonValueKind.Object } evaluation
        && evaluation.TryGetProperty("predictions", out var list) && list.ValueKind == JsonValueKind.Array
            ? [.. list.EnumerateArray().Where(e => e.ValueKind == JsonValueKind.Object).Select(e => new PredictionRow(
                Text(e, "id"), Text(e, "prediction"), Text(e, "answers"), Number(e, "score")))]
            : [];

    private static IEnumerable<JsonElement> Objects(JsonElement list) =>
        list.EnumerateArray().Where(e => e.ValueKind == JsonValueKind.Object);

    private static JsonElement? ReadJson(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllText(path));
            return document.RootElement.Clone();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    private static double? Number(JsonElement owner, string key) =>
        owner.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;

    private static string? Text(JsonElement owner, string key) => owner.TryGetProperty(key, out var value) ? value.ValueKind switch
    {
        JsonValueKind.Null => null,
        JsonValueKind.Array => string.Join(" / ", value.EnumerateArray().Select(v => v.ToString())),
        _ => value.ToString(),
    } : null;
}

internal sealed record PredictionRow(string? Id, string? Prediction, string? Answers, double? Score);
