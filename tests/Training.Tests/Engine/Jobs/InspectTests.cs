using System.Text.Json;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Engine.Jobs;
using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Tests.Checkpoints;
using Phi3VCluster.Training.Tests.Processing;
using SkiaSharp;

namespace Phi3VCluster.Training.Tests.Engine.Jobs;

public sealed class InspectTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly QuickstartFiles _files;

    public InspectTests() => _files = QuickstartFiles.Create(
        _folder["sample"], seed: 5, new SampleSizes(TrainPages: 7, EvalPages: 2, TinySizes.Smallest));

    private InspectJob Job => new() { DataKind = "conversations", Data = _files.Train, Model = _files.Checkpoint };

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void With_a_model_lengths_are_those_of_encoding()
    {
        var result = JobRun.Inspect(Job);

        var encoder = new SampleEncoder(Tokenizer.Load(_files.Checkpoint), numCrops: 1, maxTokens: 131072);
        using var data = Catalog<IDataset>.Find("conversations", "data.kind").Open(new() { Train = _files.Train }, _files.Train);
        var lengths = Enumerable.Range(0, data.Count)
            .Select(i => encoder.EncodeForTraining(data.Read(i), 1, 0).InputIds.Length).Order().ToList();
        Assert.Equal(new(lengths[0], lengths[3], lengths[6], lengths[6]), result.Good.Tokens);
        Assert.Equal((7, 0, 7, 28, 28),
            (result.Rows, result.BadRows, result.Good.Images, result.Good.Questions, result.Good.Answers.Count));
        Assert.Equal((false, 131072, 1), (result.TokensAreEstimated, result.Context, result.NumCrops));
        Assert.Equal([new(336, 336, 7, CropColumns: 1, CropRows: 1, Tokens: 313)], result.Good.ImageSizes);
        Assert.Equal(7, result.Good.Histogram.Sum(bin => bin.Rows));
        Assert.All(result.Good.Histogram, bin => Assert.Equal(bin.Rows, lengths.Count(length => length >= bin.From && length <= bin.To)));
    }

    [Fact]
    public void Without_a_model_images_are_exact_and_texts_are_estimated()
    {
        var result = JobRun.Inspect(Job with { Model = "" });

        Assert.Equal((true, 131072, 16), (result.TokensAreEstimated, result.Context, result.NumCrops));
        Assert.Equal([new(336, 336, 7, CropColumns: 4, CropRows: 4, Tokens: 2509)], result.Good.ImageSizes);
        Assert.InRange(result.Good.Tokens!.Min, 2509 + 30, 2509 + 200);
    }

    [Fact]
    public void Every_bad_row_is_a_result_with_its_place_and_its_reason()
    {
        var whole = ImageTests.Png(ImageTests.Noise(64, 64));
        File.WriteAllBytes(_folder["cut.png"], whole[..(whole.Length / 2)]);
        File.WriteAllBytes(_folder["whole.png"], whole);
        var (first, second) = (_folder["a.jsonl"], _folder["b.jsonl"]);
        File.WriteAllLines(first, [Row("whole.png", "u", "a"), Row("cut.png", "u", "a"), "", Row("none.png", "", "a")]);
        File.WriteAllLines(second, [Row("whole.png", new('x', 700_000), "a"), Row("whole.png", "u", "b")]);

        var result = JobRun.Inspect(Job with { Data = _folder["?.jsonl"], Model = "" });

        Assert.Equal((5, 3, 2), (result.Rows, result.BadRows, result.Good.Images));
        Assert.Equal([(first, 2, $"{first}:2", 1), (first, 4, $"{first}:4", 2), (second, 1, $"{second}:1", 3)],
            result.Bad.Select(bad => (bad.File, bad.Row, bad.Place, bad.Index)));
        Assert.Equal($"{_folder["cut.png"]}: the image is cut short; copy the file again.", result.Bad[0].Reason);
        Assert.StartsWith("turn 1: user is empty; write a text. turn 1: image 1: no image file", result.Bad[1].Reason);
        Assert.Contains("tokens do not fit the model's context of 131072", result.Bad[2].Reason);
    }

    [Fact]
    public void Where_every_row_is_bad_nothing_else_is_there()
    {
        File.WriteAllLines(_folder["a.jsonl"], ["{}", "[]"]);

        var result = JobRun.Inspect(Job with { Data = _folder["a.jsonl"] });

        Assert.Equal((2, 2, 0), (result.Rows, result.BadRows, result.Pages));
        Assert.Null(result.Sheet);
        Assert.Null(result.Good.Tokens);
        Assert.Null(result.Good.Answers.Characters);
    }

    [Fact]
    public void Answers_are_counted_and_the_most_frequent_come_first()
    {
        File.WriteAllLines(_folder["a.jsonl"], new[] { "yes", "no", "yes", "perhaps" }.Select(answer => Row(null, "u", answer)));

        var answers = JobRun.Inspect(Job with { Data = _folder["a.jsonl"] }).Good.Answers;

        Assert.Equal((4, 3, new Spread(2, 3, 7, 7)), (answers.Count, answers.Distinct, answers.Characters));
        Assert.Equal([new("yes", 2), new("no", 1), new("perhaps", 1)], answers.MostFrequent);
    }

    [Theory]
    [InlineData(false, 400, 200)]
    [InlineData(true, 200, 400)]
    public void Own_images_are_turned_and_found_where_it_is_said(bool rotate, int width, int height)
    {
        Directory.CreateDirectory(_folder["pictures"]);
        var picture = ImageTests.Png(ImageTests.Noise(400, 200));
        File.WriteAllBytes(_folder["pictures/p.png"], SmallExif.InPng(picture, "eXIf", SmallExif.Block(6, bigEndian: true)));
        File.WriteAllLines(_folder["a.jsonl"], [Row("p.png", "u", "a")]);
        var job = Job with { Data = _folder["a.jsonl"], ImageRoot = _folder["pictures"], ExifRotate = rotate, NumCrops = 4 };

        var result = JobRun.Inspect(job);

        var size = Assert.Single(result.Good.ImageSizes);
        Assert.Equal((width, height, 4), (size.Width, size.Height, result.NumCrops));
    }

    [Fact]
    public void The_sheet_shows_the_first_good_pages_with_their_crops()
    {
        File.WriteAllBytes(_folder["dark.png"], Plain(600, 450, SKColors.DarkBlue)); // 3 × 2 crops of at most 6
        File.WriteAllBytes(_folder["light.png"], Plain(300, 300, SKColors.LightGreen));
        File.WriteAllLines(_folder["a.jsonl"],
        [
            "{}",
            Row("dark.png", "Was ist das, 何ですか 😀?", "ü"),
            Row(null, "u", "a"),
            Row("light.png", "u", "a"),
            Row("light.png", "v", "b"),
        ]);

        var result = JobRun.Inspect(Job with { Data = _folder["a.jsonl"], Pages = 2, NumCrops = 6 });

        Assert.Equal(2, result.Pages);
        using var sheet = SKBitmap.Decode(result.Sheet!);
        Assert.Equal(16 + 2 * (448 + 16), sheet.Width);
        var layout = ImageLayout.For(600, 450, 6, "dark");
        var side = 448f / layout.CropColumns;
        for (var column = 0; column < layout.CropColumns; column++)
        {
            AssertLike(SKColors.DarkBlue, sheet.GetPixel((int)(16 + (column + 0.5) * side), (int)(16 + side / 2)));
            AssertLike(new(0xE8, 0x4A, 0x0C), sheet.GetPixel((int)(16 + column * side) + (column == 0 ? 1 : 0), (int)(16 + side / 2)));
        }
        AssertLike(SKColors.LightGreen, sheet.GetPixel(16 + 448 + 16 + 448 / 4, 16 + 448 / 4));
        Assert.Null(JobRun.Inspect(Job with { Pages = 0 }).Sheet);
    }

    [Fact]
    public void All_that_is_wrong_with_the_options_is_said_at_once()
    {
        var problems = JobRun.Refused(
            new InspectJob { DataKind = "", Data = "", NumCrops = 0, Pages = 61, Model = "nowhere", ImageRoot = "nowhere" });

        Assert.Equal(["KIND", "--num-crops", "--pages", "--model", "--image-root"],
            problems.Split('\n').Select(problem => problem.Split(':')[0]));
    }

    [Fact]
    public void Data_that_cannot_be_read_at_all_is_refused()
    {
        Assert.Contains("KIND:PATH: unknown kind, got docs; choose one of", JobRun.Refused(Job with { DataKind = "docs" }));
        Assert.Contains("no file matches", JobRun.Refused(Job with { Data = _folder["*.json"] }));
        Assert.Contains("train.jsonl", JobRun.Refused(Job with { DataKind = "docvqa" }));
    }

    [Fact]
    public void An_inspection_tells_how_far_it_is_and_can_be_stopped()
    {
        using var stop = new CancellationTokenSource();
        var seen = new List<(int Done, int Total)>();

        Assert.ThrowsAny<OperationCanceledException>(() => InspectRunner.Run(Job, (phase, done, total) =>
        {
            lock (seen) seen.Add((done, total));
            if (done == 3) stop.Cancel();
        }, stop.Token));

        Assert.Contains((3, 7), seen); // rows are counted as they are done, of all
    }

    private static void AssertLike(SKColor expected, SKColor found)
    {
        var furthest = new[] { expected.Red - found.Red, expected.Green - found.Green, expected.Blue - found.Blue }.Max(Math.Abs);
        Assert.True(furthest < 60, $"expected {expected}, got {found}");
    }

    private static byte[] Plain(int width, int height, SKColor colour)
    {
        using var bitmap = new SKBitmap(width, height);
        bitmap.Erase(colour);
        using var png = bitmap.Encode(SKEncodedImageFormat.Png, 100);
        return png.ToArray();
    }

    private static string Row(string? image, string user, string assistant) => JsonSerializer.Serialize(new
    {
        conversations = new[] { new { images = image is null ? [] : new[] { image }, user, assistant } },
    });
}
