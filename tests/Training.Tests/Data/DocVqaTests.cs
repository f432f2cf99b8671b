using Phi3VCluster.Spec;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Tests.Data;

public sealed class DocVqaTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-parquet-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Every_row_has_its_own_image_question_and_answers_in_any_order_of_reading()
    {
        using var reader = Open(Write(rows: 300, groupRows: 90));

        foreach (var row in new[] { 299, 0, 150, 89, 90, 150 })
        {
            var turn = reader.Read(row).Turns.Single();
            Assert.Equal(Picture(row), turn.Images.Single().Read());
            Assert.True(turn.Images[0].IsTurnedUpright);
            Assert.Equal($"question {row}\nAnswer briefly.", turn.User);
            Assert.Equal([$"answer {row}", "same"], turn.Answers);
        }
    }

    [Fact]
    public void A_null_row_is_refused_with_every_reason_and_shifts_no_other()
    {
        using var reader = Open(Write(rows: 12, groupRows: 5, nullRow: 7));

        var error = Assert.Throws<BadRowException>(() => reader.Read(7));

        Assert.Equal(3, error.Problems.Count);
        Assert.All(error.Problems, problem => Assert.Contains("row 7", problem));
        Assert.Equal(Picture(8), reader.Read(8).Turns[0].Images[0].Read());
    }

    [Fact]
    public void Missing_columns_are_named_with_those_there_are()
    {
        var path = Write(rows: 2, groupRows: 2, answers: SmallParquet.Texts(["answer 0", "answer 1"]));

        Assert.Equal($"{path}: column(s) answers[] (text) are missing, "
            + "it has image.bytes (bytes), image.path (text), query.en (text), answers (text); "
            + "choose the data.kind whose columns these are.", Assert.Throws<InputException>(() => Open(path)).Message);
    }

    [Fact]
    public void A_file_cut_short_is_refused_when_it_is_opened()
    {
        var path = Write(rows: 10, groupRows: 5);
        using (var file = File.OpenWrite(path)) file.SetLength(file.Length - 20);

        Assert.Contains(path, Assert.Throws<InputException>(() => Open(path)).Message);
    }

    [Theory]
    [InlineData(0, 100)] // the beginning's mark and the first pages
    [InlineData(-4, 4)] // the end's mark
    [InlineData(-8, 4)] // the footer's length
    [InlineData(-60, 50)] // the footer
    public void A_broken_file_is_one_sentence_in_our_words(int from, int length)
    {
        var path = Write(rows: 10, groupRows: 10);
        using (var file = File.OpenWrite(path))
        {
            file.Seek(from, from < 0 ? SeekOrigin.End : SeekOrigin.Begin);
            file.Write([.. Enumerable.Repeat((byte)0xFF, length)]);
        }

        var message = Assert.Throws<InputException>(() =>
        {
            using var reader = Open(path);
            reader.Read(3);
        }).Message;

        Assert.StartsWith(path, message);
        Assert.Single(message.Split('\n'));
        foreach (var raw in (string[])["parquet::", "(message", "Exception", ".cc:"])
            Assert.DoesNotContain(raw, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_row_group_ends_the_reading_and_is_no_bad_row()
    {
        var path = Write(rows: 10, groupRows: 10);
        using (var file = File.OpenWrite(path)) file.Write(new byte[100]);
        using var reader = Open(path);

        Assert.IsNotType<BadRowException>(Assert.ThrowsAny<InputException>(() => reader.Read(3)));
    }

    private static IDatasetReader Open(string path) => Catalog<IDataset>.Find("docvqa", "data.kind").Open(new() { Train = path }, path);

    private static byte[] Picture(int row) => [(byte)row, (byte)(row / 256), 77];

    private string Write(int rows, int groupRows, int nullRow = -1, Apache.Arrow.IArrowArray? answers = null)
    {
        bool IsThere(int row) => row != nullRow;
        var all = Enumerable.Range(0, rows).ToList();
        return SmallParquet.Write(Path.Combine(_folder, $"{Guid.NewGuid():N}.parquet"), groupRows,
            ("image", SmallParquet.Images([.. all.Select(row => IsThere(row) ? new SmallImage(Picture(row)) : null)])),
            ("query", SmallParquet.Struct(all.Select(IsThere), ("en", SmallParquet.Texts(all.Select(row => $"question {row}"))))),
            ("answers", answers ?? SmallParquet.Lists<string>(
                [.. all.Select(row => IsThere(row) ? new[] { $"answer {row}", "same" } : null)], SmallParquet.Texts)));
    }
}
