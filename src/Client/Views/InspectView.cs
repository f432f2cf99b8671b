using System.Globalization;
using Phi3VCluster.Client.App;
using Phi3VCluster.Spec.Jobs;
using Spectre.Console;

namespace Phi3VCluster.Client.Views;

/// <summary>What is in a dataset.</summary>
internal static class InspectView
{
    private const int ShownBad = 8, ShownSizes = 8, ChartWidth = 78, LongestAnswer = 60;

    /// <param name="sheet">The file it was written to.</param>
    public static object Document(InspectResult result, string? sheet) => new
    {
        result.Rows,
        result.BadRows,
        Bad = result.Bad.Select(bad => new { bad.Row, bad.Reason, bad.File, bad.Place, bad.Index }),
        result.RowsWithoutImages,
        result.Remarks,
        result.Good.Questions,
        result.Good.Images,
        Tokens = new
        {
            result.Good.Tokens?.Min,
            result.Good.Tokens?.Median,
            result.Good.Tokens?.P95,
            result.Good.Tokens?.Max,
            Estimated = result.TokensAreEstimated,
            result.Good.Histogram,
        },
        result.Good.ImageSizes,
        result.Good.DistinctImageSizes,
        result.Good.Answers,
        result.Context,
        result.NumCrops,
        Sheet = sheet,
        result.Pages,
        result.Seconds,
    };

    public static void Show(Output to, InspectResult result, string? sheet)
    {
        var good = result.Good;
        to.Sentence($"{Count(result.Rows)} rows, {Count(result.BadRows)} of them bad; "
            + $"{Count(good.Images)} images, {Count(good.Questions)} questions, "
            + $"{Count(good.Answers.Count)} answers; read in {Words.Took(result.Seconds)}");
        if (result.RowsWithoutImages > 0) to.Sentence($"{Count(result.RowsWithoutImages)} of the good rows have no image");
        foreach (var remark in result.Remarks) to.Sentence($"warning: {remark}");
        ShowTokens(to, result);
        ShowSizes(to, good);
        ShowAnswers(to, good.Answers);
        ShowBad(to, result);
        if (sheet is not null) to.Line($"{Count(result.Pages)} pages with their crops → {sheet}");
    }

    private static void ShowTokens(Output to, InspectResult result)
    {
        if (result.Good.Tokens is not { } tokens) return;
        to.Line("");
        to.Sentence($"tokens a row: {Of(tokens)}, of at most {Count(result.Context)}"
            + (result.TokensAreEstimated ? " (estimated; --model gives exact counts)" : ""));
        var chart = new BarChart().Width(Math.Min(ChartWidth, to.Width));
        foreach (var bin in result.Good.Histogram.Where(bin => bin.Rows > 0))
            chart.AddItem(bin.From == bin.To ? Count(bin.From) : $"{Count(bin.From)}–{Count(bin.To)}", bin.Rows, Color.Green);
        to.Screen.Write(chart);
    }

    private static void ShowSizes(Output to, GoodRows good)
    {
        if (good.ImageSizes.Count == 0) return;
        to.Line("");
        Tables.Write(to,
            [new("image size"), new("images"), new("crops"), new("tokens each")],
            good.ImageSizes.Take(ShownSizes).Select(size => (string[])
                [$"{size.Width}×{size.Height}", Count(size.Count), $"{size.CropColumns}×{size.CropRows}", Count(size.Tokens)]));
        if (good.DistinctImageSizes > ShownSizes) to.Line($"the most frequent of {Count(good.DistinctImageSizes)} image sizes");
    }

    private static void ShowAnswers(Output to, InspectedAnswers answers)
    {
        if (answers.Characters is not { } characters) return;
        to.Line("");
        to.Sentence($"characters an answer: {Of(characters)}; {Count(answers.Distinct)} different ones, most often "
            + string.Join(", ", answers.MostFrequent.Select(one => $"{Short(one.Answer)} ({Share(one.Count, answers.Count)})")));
    }

    private static void ShowBad(Output to, InspectResult result)
    {
        if (result.BadRows == 0) return;
        to.Line("");
        foreach (var bad in result.Bad.Take(ShownBad)) to.Line($"{bad.Place}: {bad.Reason}");
        if (result.BadRows > ShownBad) to.Line($"the first {ShownBad} of {Count(result.BadRows)} bad rows; --json has "
            + (result.Bad.Count == result.BadRows ? "them all." : $"the first {Count(result.Bad.Count)}."));
    }

    private static string Of(Spread spread) =>
        $"{Count(spread.Min)} to {Count(spread.Max)}, median {Words.Number(spread.Median, "#,0.#")}, 95 % within {Count(spread.P95)}";

    private static string Count(int number) => number.ToString("N0", CultureInfo.InvariantCulture);

    private static string Share(int part, int all) => $"{Words.Number(100.0 * part / all, "0.#")} %";

    private static string Short(string answer)
    {
        var line = string.Join(' ', answer.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        return line.Length <= LongestAnswer ? $"“{line}”" : $"“{line[..LongestAnswer]}…”";
    }
}
