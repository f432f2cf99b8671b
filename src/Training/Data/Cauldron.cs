using Apache.Arrow;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// The layout of the hub's <c>HuggingFaceM4/the_cauldron</c>, parquet: images: list of {bytes, path}, texts: list of {user, assistant, …}.
/// What the texts of a row are to each other is each dataset's own.
/// </summary>
internal static class Cauldron
{
    private static readonly ParquetColumn[] Required =
        [ParquetColumn.Bytes("images[].bytes"), ParquetColumn.Text("texts[].user"), ParquetColumn.Text("texts[].assistant")];
    private static readonly ParquetColumn[] Optional = [ParquetColumn.Text("images[].path")];

    /// <param name="turns">A row's texts as turns, given its images; there is at least one of each.</param>
    public static IDatasetReader Open(DataSpec spec, string pathOrGlob, SampleKind kind,
        Func<IReadOnlyList<CauldronText>, IReadOnlyList<IImageSource>, IEnumerable<Turn>> turns) => Opening.Open(spec, pathOrGlob, path =>
            new ParquetReader(new(path, Required, Optional), DataFiles.ImageRoot(spec, path), (batch, row, into) =>
            {
                var images = Images(batch.Column("images"), row, into);
                var texts = Texts(batch.Column("texts"), row, into);
                return into.Problems.Count > 0 ? null : new(into.DefaultId, [.. turns(texts, images)], kind);
            }));

    private static List<IImageSource> Images(IArrowArray column, int row, ParquetRow into)
    {
        if (column.Items(row) is { Length: > 0 } images)
            return [.. Enumerable.Range(0, images.Length).Select(i => Image(images, i)).OfType<IImageSource>()];
        into.Refuse("images is null or empty");
        return [];

        IImageSource? Image(IArrowArray all, int at) => into.Image(all, at, $"image {at + 1} of {all.Length}");
    }

    private static List<CauldronText> Texts(IArrowArray column, int row, ParquetRow into)
    {
        if (column.Items(row) is { Length: > 0 } texts)
            return [.. Enumerable.Range(0, texts.Length).Select(i => Text(texts, i, $"text {i + 1} of {texts.Length}", into))];
        into.Refuse("texts is null or empty");
        return [];
    }

    private static CauldronText Text(IArrowArray texts, int at, string name, ParquetRow into)
    {
        if (!texts.IsNull(at))
            return new(Field("user"), Field("assistant"));
        into.Refuse($"{name} is null");
        return new("", "");

        string Field(string field) => into.Text(texts.Field(field).Text(at), $"{field} of {name}");
    }
}

/// <summary>A question and its answer.</summary>
internal sealed record CauldronText(string User, string Assistant)
{
    public Turn With(IReadOnlyList<IImageSource> images) => new(images, User, [Assistant]);
}
