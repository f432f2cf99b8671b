using Apache.Arrow;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Tests.Data;

public sealed class CauldronTests : IDisposable
{
    private const string NoAnswer = "";

    private static readonly Row Good = new([new([1])], [("q", "a")]);

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-cauldron-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Each_kind_makes_its_own_turns_of_a_rows_texts()
    {
        var path = Write(new Row([new([1]), new([2])], [("q0", "a0"), ("q1", "a1"), ("q2", "a2")]));

        var memes = Read("hateful-memes", path);
        Assert.Equal("q0 a0 1 2", Words(memes.Turns.Single()));
        var pairs = Read("nlvr2", path);
        Assert.Equal(["q0 a0 1 2", "q1 a1", "q2 a2"], pairs.Turns.Select(Words));
        Assert.Equal(SampleKind.Questions, pairs.Kind);
        var pages = Read("cauldron-docvqa", path);
        Assert.Equal(["q0 a0 1 2", "q1 a1 1 2", "q2 a2 1 2"], pages.Turns.Select(Words));
        Assert.Equal(SampleKind.Alternatives, pages.Kind);
        Assert.All([memes, pairs, pages], sample => Assert.True(sample.Turns[0].Images[0].IsTurnedUpright));
    }

    [Fact]
    public void Nulls_at_any_level_are_refused_and_shift_no_other_row()
    {
        (Row Row, string Reason)[] bad =
        [
            (Good with { Images = null }, "images is null or empty"),
            (Good with { Images = [] }, "images is null or empty"),
            (Good with { Images = [new([1]), null] }, "image 2 of 2 is null"),
            (Good with { Images = [null, new([1])] }, "image 1 of 2 is null"),
            (Good with { Images = [new(null)] }, "neither bytes nor a path"),
            (Good with { Images = [new([])] }, "0 bytes"),
            (Good with { Images = [new(null, "none.png")] }, "none.png"),
            (Good with { Texts = null }, "texts is null or empty"),
            (Good with { Texts = [] }, "texts is null or empty"),
            (Good with { Texts = [("q", "a"), null] }, "text 2 of 2 is null"),
            (Good with { Texts = [(null, "a")] }, "user of text 1 of 1 is null"),
            (Good with { Texts = [("q", null)] }, "assistant of text 1 of 1 is null"),
            (Good with { Texts = [("q", NoAnswer)] }, "assistant of text 1 of 1 is empty"),
        ];
        var rows = bad.SelectMany((one, i) => new[] { one.Row, new Row([new([(byte)i, 9])], [($"q{i}", $"a{i}")]) }).ToArray();

        foreach (var kind in new[] { "cauldron-docvqa", "hateful-memes", "nlvr2" })
        {
            using var reader = Open(kind, Write(rows));
            for (var i = bad.Length - 1; i >= 0; i--)
            {
                Assert.Contains($"row {2 * i}: ", Assert.Throws<BadRowException>(() => reader.Read(2 * i)).Message);
                Assert.Contains(bad[i].Reason, Assert.Throws<BadRowException>(() => reader.Read(2 * i)).Message);
                var turn = reader.Read(2 * i + 1).Turns.Single();
                Assert.Equal([(byte)i, 9], turn.Images.Single().Read());
                Assert.Equal(($"q{i}", $"a{i}"), (turn.User, turn.Answers.Single()));
            }
        }
    }

    [Fact]
    public void Embedded_bytes_win_over_a_path_and_a_path_alone_means_the_file_beside()
    {
        File.WriteAllBytes(Path.Combine(_folder, "beside.png"), [7, 8]);
        var path = Write(new Row([new(null, "beside.png"), new([5], "beside.png"), new([6], "nowhere.png")], [("q", "a")]));

        var sample = Read("nlvr2", path);

        Assert.Equal([[7, 8], [5], [6]], sample.Turns[0].Images.Select(image => image.Read()));
        Assert.All(sample.Turns[0].Images, image => Assert.True(image.IsTurnedUpright));
    }

    [Fact]
    public void Texts_of_64_bit_offsets_and_views_are_read()
    {
        var offsets = new ArrowBuffer.Builder<long>().Append(0).Append(1).Build();
        var letters = new ArrowBuffer.Builder<byte>().Append((byte)'t').Build();
        var large = new LargeStringArray(1, offsets, letters, ArrowBuffer.Empty);

        foreach (var texts in new IArrowArray[] { large, new StringViewArray.Builder().Append("t").Build() })
            Assert.Equal("q t 1", Words(Read("nlvr2", WithAssistant(texts)).Turns[0]));
    }

    [Fact]
    public void Other_types_are_refused_by_name_when_the_file_is_opened()
    {
        var error = Assert.Throws<InputException>(() => Read("nlvr2", WithAssistant(new Int32Array.Builder().Append(1).Build())));

        Assert.Contains("column(s) texts[].assistant (text) are missing", error.Message);
        Assert.Contains("texts[].assistant (int32)", error.Message);
    }

    private static Sample Read(string kind, string path)
    {
        using var reader = Open(kind, path);
        var sample = reader.Read(0);
        // The images lie in a file that goes with the reader.
        return sample with
        {
            Turns = [.. sample.Turns.Select(turn => turn with { Images = [.. turn.Images.Select(image => new Held(image))] })],
        };
    }

    private static IDatasetReader Open(string kind, string path) =>
        Catalog<IDataset>.Find(kind, "data.kind").Open(new() { Train = path }, path);

    private static string Words(Turn turn) =>
        string.Join(' ', [turn.User, turn.Answers.Single(), .. turn.Images.Select(image => image.Read()[0])]);

    private string WithAssistant(IArrowArray assistant) => SmallParquet.Write(
        Path.Combine(_folder, $"{Guid.NewGuid():N}.parquet"), groupRows: 1,
        ("images", SmallParquet.Lists([[new SmallImage([1])]], SmallParquet.Images)),
        ("texts", SmallParquet.Lists<int>([[0]], _ => SmallParquet.Struct(
            [true], ("user", SmallParquet.Texts(["q"])), ("assistant", assistant)))));

    private string Write(params Row[] rows) => SmallParquet.Write(Path.Combine(_folder, $"{Guid.NewGuid():N}.parquet"), groupRows: 4,
        ("images", SmallParquet.Lists([.. rows.Select(row => row.Images)], SmallParquet.Images)),
        ("texts", SmallParquet.Lists<(string? User, string? Assistant)?>([.. rows.Select(row => row.Texts)], texts => SmallParquet.Struct(
            texts.Select(text => text is not null),
            ("user", SmallParquet.Texts(texts.Select(text => text?.User))),
            ("assistant", SmallParquet.Texts(texts.Select(text => text?.Assistant)))))));

    private sealed record Row(IReadOnlyList<SmallImage?>? Images, IReadOnlyList<(string? User, string? Assistant)?>? Texts);

    private sealed class Held(IImageSource image) : IImageSource
    {
        private readonly byte[] _bytes = image.Read();
        public string Description => image.Description;
        public bool IsTurnedUpright => image.IsTurnedUpright;
        public byte[] Read() => _bytes;
    }
}
