using Apache.Arrow;
using Apache.Arrow.Types;
using ParquetSharp.Arrow;
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
            Assert.Equal([(byte)row, (byte)(row / 256), 77], turn.Images.Single().Read());
            Assert.Equal($"question {row}\nAnswer briefly.", turn.User);
            Assert.Equal([$"answer {row}", "same"], turn.Answers);
        }
    }

    [Fact]
    public void A_null_row_is_refused_with_every_reason_and_shifts_no_other()
    {
        using var reader = Open(Write(rows: 12, groupRows: 5, nullRow: 7));

        var error = Assert.Throws<InputException>(() => reader.Read(7));

        Assert.Equal(3, error.Problems.Count);
        Assert.All(error.Problems, problem => Assert.Contains("row 7", problem));
        Assert.Equal([8, 0, 77], reader.Read(8).Turns[0].Images[0].Read());
    }

    [Fact]
    public void Missing_columns_are_named_with_those_there_are()
    {
        var error = Assert.Throws<InputException>(() => Open(Write(rows: 2, groupRows: 2, withAnswers: false)));

        Assert.Contains("answers are missing", error.Message.Replace("column(s) ", ""));
        Assert.Contains("image.bytes", error.Message);
    }

    [Fact]
    public void A_file_cut_short_is_refused_when_it_is_opened()
    {
        var path = Write(rows: 10, groupRows: 5);
        using (var file = File.OpenWrite(path)) file.SetLength(file.Length - 20);

        Assert.Contains(path, Assert.Throws<InputException>(() => Open(path)).Message);
    }

    private static IDatasetReader Open(string path) => Catalog<IDataset>.Find("docvqa", "data.kind").Open(new() { Train = path }, path);

    private string Write(int rows, int groupRows, int nullRow = -1, bool withAnswers = true)
    {
        var columns = new List<(string Name, IArrowArray Values)>
        {
            ("image", Struct("bytes", Build(new BinaryArray.Builder(), rows, nullRow, (b, i) => b.Append([(byte)i, (byte)(i / 256), 77]), b => b.AppendNull()))),
            ("query", Struct("en", Build(new StringArray.Builder(), rows, nullRow, (b, i) => b.Append($"question {i}"), b => b.AppendNull()))),
        };
        if (withAnswers) columns.Add(("answers", Answers(rows, nullRow)));
        var schema = new Schema(columns.ConvertAll(c => new Field(c.Name, c.Values.Data.DataType, nullable: true)), null);
        var path = Path.Combine(_folder, $"{Guid.NewGuid():N}.parquet");
        using var batch = new RecordBatch(schema, columns.ConvertAll(c => c.Values), rows);
        using var writer = new FileWriter(path, schema);
        writer.WriteRecordBatch(batch, groupRows);
        writer.Close();
        return path;
    }

    private static IArrowArray Build<TBuilder>(TBuilder builder, int rows, int nullRow, Action<TBuilder, int> add, Action<TBuilder> addNull)
        where TBuilder : IArrowArrayBuilder<IArrowArray>
    {
        for (var i = 0; i < rows; i++)
        {
            if (i == nullRow) addNull(builder);
            else add(builder, i);
        }
        return builder.Build(null);
    }

    private static StructArray Struct(string field, IArrowArray values) =>
        new(new StructType([new Field(field, values.Data.DataType, nullable: true)]), values.Length, [values], ArrowBuffer.Empty);

    private static ListArray Answers(int rows, int nullRow)
    {
        var lists = new ListArray.Builder(StringType.Default);
        var texts = (StringArray.Builder)lists.ValueBuilder;
        for (var i = 0; i < rows; i++)
        {
            if (i == nullRow)
            {
                lists.AppendNull();
                continue;
            }
            lists.Append();
            texts.Append($"answer {i}").Append("same");
        }
        return lists.Build();
    }
}
