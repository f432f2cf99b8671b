using Apache.Arrow;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Questions about scanned pages in the layout of <c>nielsr/docvqa_1200_examples</c>, parquet: image{bytes, path}, query{en, …},
/// answers: list of accepted ones. The English question is asked; which answer is trained is drawn later.
/// </summary>
internal sealed class DocVqa : IDataset
{
    private static readonly ParquetColumn[] Required =
        [ParquetColumn.Bytes("image.bytes"), ParquetColumn.Text("query.en"), ParquetColumn.Text("answers[]")];
    private static readonly ParquetColumn[] Optional = [ParquetColumn.Text("image.path"), ParquetColumn.Text("id")];

    public string Name => "docvqa";

    public IDatasetReader Open(DataSpec spec, string pathOrGlob) => Opening.Open(spec, pathOrGlob, path =>
        new ParquetReader(new(path, Required, Optional), DataFiles.ImageRoot(spec, path), Parse));

    private static Sample? Parse(RecordBatch batch, int row, ParquetRow into)
    {
        var image = into.Image(batch.Column("image"), row, "image");
        var query = into.Text(batch.Column("query").IsNull(row) ? null : batch.Column("query").Field("en").Text(row), "the English query");
        var answers = Answers(batch.Column("answers"), row, into);
        var id = batch.Schema.GetFieldIndex("id") >= 0 ? batch.Column("id").Text(row) : null;
        return image is null ? null : new(id ?? into.DefaultId, [new([image], $"{query}\nAnswer briefly.", answers)]);
    }

    private static List<string> Answers(IArrowArray column, int row, ParquetRow into)
    {
        if (column.Items(row) is { Length: > 0 } items)
            return [.. Enumerable.Range(0, items.Length).Select(i => into.Text(items.Text(i), $"answer {i + 1} of {items.Length}"))];
        into.Refuse("answers is null or empty");
        return [];
    }
}
