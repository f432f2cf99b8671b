using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Inspection;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Processing;
using Phi3VConfig = Phi3VCluster.Training.Model.Phi3VConfig;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>
/// What a dataset holds: every row is read, every image decoded, each on all cores; memory holds a few numbers a row and an image a core.
/// </summary>
internal static class InspectRunner
{
    private const int MostBadRows = 10_000; // that are listed

    /// <param name="publish">(phase, rows done, rows in all).</param>
    /// <exception cref="InputException">The model's files or the data's are wrong; bad rows are a result.</exception>
    public static InspectResult Run(InspectJob job, Action<string, int, int> publish, CancellationToken stop)
    {
        var started = Stopwatch.GetTimestamp();
        var hasModel = job.Model.Length > 0;
        if (hasModel && job.Method is { } method) RequireFits(method, job.Model);
        var measure = hasModel
            ? new SampleMeasure(Tokenizer.Load(job.Model), Phi3VConfig.Read(job.Model).VocabularySize) : new(TextEstimate.Tokens);
        var context = hasModel ? Phi3VConfig.Read(job.Model).MaxPositions : Phi3VConfig.ReleasedMaxPositions;
        var crops = job.NumCrops ?? (hasModel ? ProcessorConfig.NumCrops(job.Model) : ProcessorConfig.UsualCrops);
        var spec = new DataSpec { Kind = job.DataKind, Train = job.Data, ImageRoot = job.ImageRoot, ExifRotate = job.ExifRotate };
        using var data = Catalog<IDataset>.Find(job.DataKind, "KIND").Open(spec, job.Data);
        var (check, found) = (new SampleCheck(measure, crops, context, decodes: true), new DataStatistics());
        var bad = RowScan.Run(data, 0, data.Count, Look, MostBadRows, done => publish("reading", done, data.Count), stop);
        var pages = GoodPages(data, bad, crops, stop).Take(job.Pages);
        publish("drawing the sheet", 0, 0);
        var (sheet, drawn) = Draw(pages);
        return new()
        {
            Rows = data.Count,
            BadRows = bad.Rows.Count,
            Bad = [.. bad.Explained.Select(row => Describe(row, data.Place(row.Index)))],
            RowsWithoutImages = bad.Remarks.WithoutImages,
            Remarks = [.. bad.Remarks.Sentences()],
            Good = found.Result(),
            TokensAreEstimated = !hasModel,
            Context = context,
            NumCrops = crops,
            Sheet = sheet,
            Pages = drawn,
            Seconds = Stopwatch.GetElapsedTime(started).TotalSeconds,
        };

        IReadOnlyList<string> Look(Sample sample)
        {
            var look = check.Look(sample);
            if (look.Problems.Count == 0) found.Add(sample, look);
            return look.Problems;
        }
    }

    /// <exception cref="InputException">The method does not fit the model's weights.</exception>
    private static void RequireFits(MethodSpec method, string model)
    {
        using var checkpoint = BaseCheckpoint.Open(model);
        Catalog<ITrainingMethod>.Find(method.Kind, "method.kind").Plan(checkpoint.Used, method);
    }

    private static InspectedBadRow Describe(BadRow row, RowPlace place)
    {
        var where = $"{place}: ";
        var reasons = row.Problems.Select(problem =>
            problem.StartsWith(where, StringComparison.Ordinal) ? problem[where.Length..] : problem);
        return new(place.File, place.Number, $"{place}", row.Index, string.Join(' ', reasons));
    }

    private static (byte[]? Png, int Pages) Draw(IEnumerable<SheetPage> pages)
    {
        using var sheet = new ContactSheet();
        foreach (var page in pages) sheet.Add(page);
        return (sheet.Count > 0 ? sheet.ToPng() : null, sheet.Count);
    }

    private static IEnumerable<SheetPage> GoodPages(IDatasetReader data, BadRows bad, int crops, CancellationToken stop)
    {
        var isBad = bad.Rows.ToHashSet();
        for (var row = 0; row < data.Count; row++)
        {
            stop.ThrowIfCancellationRequested();
            if (isBad.Contains(row)) continue;
            var (sample, place) = (data.Read(row), data.Place(row));
            place = place with { File = Path.GetFileName(place.File) };
            var asked = sample.Turns.SelectMany(turn => turn.Images.Select(image => (Image: image, Turn: turn)));
            foreach (var (image, turn) in asked.DistinctBy(one => one.Image.Description))
                yield return Page(image, turn, place, sample, crops);
        }
    }

    private static SheetPage Page(IImageSource image, Turn turn, RowPlace place, Sample sample, int crops)
    {
        var encoded = ImageEncoder.Encode(image, crops, image.Description);
        var (width, height) = ImageDecoder.ReadSize(image);
        var more = sample.Turns.Count > 1 ? $" (+{sample.Turns.Count - 1} more)" : "";
        return new(encoded, ImageLayout.CropSize, $"{place}", $"{width}×{height}", turn.User + more, string.Join(" / ", turn.Answers));
    }
}
