using System.Text.Json;
using SkiaSharp;

namespace Phi3VCluster.Samples.Tests;

public sealed class QuickstartFilesTests : IDisposable
{
    private static readonly SampleSizes Few = new(TrainPages: 6, EvalPages: 8, TinySizes.Smallest);

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_same_seed_gives_the_same_bytes_and_another_seed_others()
    {
        QuickstartFiles.Create(_folder.At("a"), seed: 1, Few);
        QuickstartFiles.Create(_folder.At("b"), seed: 1, Few);
        QuickstartFiles.Create(_folder.At("c"), seed: 2, Few);

        var (a, c) = (TemporaryFolder.Contents(_folder.At("a")), TemporaryFolder.Contents(_folder.At("c")));
        Assert.Equal(a, TemporaryFolder.Contents(_folder.At("b")));
        Assert.Equal(a.Keys, c.Keys);
        string[] made = ["train.jsonl", "eval.jsonl", "train/page-0000.png", "eval/page-0000.png", "model/model.safetensors"];
        Assert.All(made, name => Assert.NotEqual(a[name], c[name]));
    }

    [Fact]
    public void A_folder_made_from_the_same_seed_is_used_as_it_is_and_another_one_is_never_overwritten()
    {
        var made = QuickstartFiles.Create(_folder.At("a"), seed: 1, Few);
        var written = File.GetLastWriteTimeUtc(made.Train);

        Assert.Equal(made, QuickstartFiles.Create(_folder.At("a"), seed: 1, Few));
        Assert.Equal(written, File.GetLastWriteTimeUtc(made.Train));

        var error = Assert.Throws<IOException>(() => QuickstartFiles.Create(_folder.At("a"), seed: 2, Few));
        Assert.Contains(_folder.At("a"), error.Message);
        Assert.Equal(["a"], Directory.EnumerateFileSystemEntries(_folder.Root).Select(Path.GetFileName)); // nothing half-made is left
    }

    [Fact]
    public void A_training_page_is_asked_for_all_its_fields_in_turns_and_shown_in_the_first()
    {
        var made = QuickstartFiles.Create(_folder.At("a"), seed: 1, Few);

        var samples = Samples(made.Train);

        Assert.Equal(Few.TrainPages, samples.Count);
        Assert.Equal(samples.Count, samples.Select(s => s.Id).Distinct().Count());
        foreach (var sample in samples)
        {
            Assert.Equal(Field.All.Select(f => f.Question).Order(), sample.Turns.Select(t => t.User).Order());
            Assert.True(File.Exists(_folder.At($"a/{Assert.Single(sample.Turns[0].Images)}")));
            Assert.All(sample.Turns.Skip(1), turn => Assert.Empty(turn.Images));
            Assert.All(sample.Turns, turn => Assert.Contains(turn.Assistant, Field.All.Single(f => f.Question == turn.User).Values));
        }
        var orders = samples.Select(s => string.Concat(s.Turns.Select(t => t.User))).Distinct();
        Assert.True(orders.Count() > 1, "the order of questions never changes");
    }

    [Fact]
    public void An_evaluation_page_is_asked_one_question_and_each_field_is_asked_equally_often()
    {
        var made = QuickstartFiles.Create(_folder.At("a"), seed: 1, Few);

        var turns = Samples(made.Eval).Select(sample => Assert.Single(sample.Turns)).ToList();

        Assert.Equal(Few.EvalPages, turns.Count);
        Assert.All(turns, turn => Assert.True(File.Exists(_folder.At($"a/{Assert.Single(turn.Images)}"))));
        Assert.All(turns.CountBy(turn => turn.User), asked => Assert.Equal(Few.EvalPages / Field.All.Count, asked.Value));
    }

    [Fact]
    public void No_two_pages_look_alike_so_that_held_out_pages_were_never_trained_on()
    {
        var made = QuickstartFiles.Create(_folder.At("a"), seed: 1, new(TrainPages: 120, EvalPages: 40, TinySizes.Smallest));

        var pages = Samples(made.Train).Concat(Samples(made.Eval)).Select(s => _folder.At($"a/{s.Turns[0].Images[0]}"));

        Assert.Equal(160, pages.Select(page => Convert.ToHexString(File.ReadAllBytes(page))).Distinct().Count());
    }

    [Fact]
    public void The_picture_shows_what_the_answers_say()
    {
        var made = QuickstartFiles.Create(_folder.At("a"), seed: 3, Few);

        foreach (var sample in Samples(made.Train))
        {
            using var picture = SKBitmap.Decode(_folder.At($"a/{sample.Turns[0].Images[0]}"));
            Assert.Equal((336, 336), (picture.Width, picture.Height));
            foreach (var turn in sample.Turns)
            {
                var field = Field.All.Single(f => f.Question == turn.User);
                Assert.Equal(turn.Assistant, PageReader.ValueUnder(picture, field));
            }
        }
    }

    [Fact]
    public void Bands_ink_and_paper_are_where_the_task_says()
    {
        var page = new Page([new(Field.All[0], Row: 2, "HUGO"), new(Field.All[3], Row: 5, "MAY")]);
        new PageImage().WritePng(page, _folder.At("page.png"));
        using var picture = SKBitmap.Decode(_folder.At("page.png"));

        var (white, blue, yellow) = (new SKColor(255, 255, 255), new SKColor(90, 140, 255), new SKColor(255, 200, 40));
        Assert.Equal(white, picture.GetPixel(28, 2 * 56 - 1));
        Assert.Equal(white, picture.GetPixel(27, 2 * 56));
        Assert.Equal(blue, picture.GetPixel(28, 2 * 56));
        Assert.Equal(blue, picture.GetPixel(307, 2 * 56 + 53));
        Assert.Equal(white, picture.GetPixel(308, 2 * 56 + 53));
        Assert.Equal(white, picture.GetPixel(307, 2 * 56 + 54));
        Assert.Equal(yellow, picture.GetPixel(28, 5 * 56));
        Assert.Equal(new SKColor(90, 90, 110), picture.GetPixel(32, 2 * 56 + 7)); // N of NAME
        Assert.Equal(new SKColor(20, 20, 30), picture.GetPixel(32, 2 * 56 + 25)); // H of HUGO
        Assert.Equal(new SKColor(20, 20, 30), picture.GetPixel(32 + 28, 2 * 56 + 25)); // U of HUGO, 28 pixels on
        Assert.Equal(blue, picture.GetPixel(32 + 20, 2 * 56 + 25)); // the space between them
    }

    private static List<Sample> Samples(string jsonLines) =>
        [.. File.ReadLines(jsonLines).Select(line => JsonSerializer.Deserialize<Sample>(line, JsonSerializerOptions.Web)!)];

    private sealed record Sample(string Id, List<Turn> Conversations)
    {
        public List<Turn> Turns => Conversations;
    }

    private sealed record Turn(List<string> Images, string User, string Assistant);
}
