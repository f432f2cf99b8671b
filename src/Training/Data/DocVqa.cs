using Apache.Arrow;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Questions about scanned pages in the layout of <c>nielsr/docvqa_1200_examples</c>, parquet: image{bytes, path}, query{en, …},
/// answers: list of accepted ones. The English question is asked; which answer is trained is drawn later.
/// </summary>
internal sealed class DocVqa : IDataset
{
    public string Name => "docvqa";

    public IDatasetReader Open(DataSpec spec, string pathOrGlob)
    {
        var files = Opening.All(DataFiles.Find(spec, pathOrGlob), path =>
            new ParquetReader(new(path, ["image.bytes", "query.en", "answers"], ["image.path", "id"]), DataFiles.ImageRoot(spec, path), Parse));
        return Opening.Joined(files, $"{DataFiles.Setting(spec, pathOrGlob)}: {pathOrGlob}");
    }

    private static Sample Parse(RecordBatch batch, int row, ParquetRow into)
    {
        var image = into.Image(batch.Column("image"), row, "image");
        var query = batch.Column("query").IsNull(row) ? null : batch.Column("query").Field("en").Text(row);
        if (string.IsNullOrEmpty(query)) into.Refuse("the English query is null or empty");
        var turn = new Turn(image is null ? [] : [image], $"{query}\nAnswer briefly.", Answers(batch.Column("answers"), row, into));
        var id = batch.Schema.GetFieldIndex("id") >= 0 ? batch.Column("id").Text(row) : null;
        return new(id ?? into.DefaultId, [turn]);
    }

    private static List<string> Answers(IArrowArray column, int row, ParquetRow into)
    {
        var answers = new List<string>();
        if (column.Items(row) is not { Length: > 0 } items)
        {
            into.Refuse("answers is null or empty");
            return answers;
        }
        for (var i = 0; i < items.Length; i++)
        {
            if (items.Text(i) is { Length: > 0 } answer) answers.Add(answer);
            else into.Refuse($"answer {i + 1} of {items.Length} is null or empty");
        }
        return answers;
    }
}
