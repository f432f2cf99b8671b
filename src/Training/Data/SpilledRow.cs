using System.Text.Json;

namespace Phi3VCluster.Training.Data;

/// <summary>A parquet row as it lies in a <see cref="Spill"/>, in JSON: its sample, or what is wrong with it.</summary>
internal sealed record SpilledRow(string Id, SampleKind Kind, IReadOnlyList<SpilledTurn> Turns, IReadOnlyList<string> Problems)
{
    public static SpillRange Add(Spill spill, Sample? sample, IReadOnlyList<string> problems) =>
        spill.Add(JsonSerializer.SerializeToUtf8Bytes(problems.Count > 0 || sample is null
            ? new SpilledRow("", default, [], problems)
            : new SpilledRow(sample.Id, sample.Kind, [.. sample.Turns.Select(SpilledTurn.Of)], [])));

    /// <exception cref="BadRowException">The row is bad.</exception>
    public static Sample Read(Spill spill, SpillRange range)
    {
        var row = JsonSerializer.Deserialize<SpilledRow>(spill.Read(range))!;
        if (row.Problems.Count > 0) throw new BadRowException(row.Problems);
        return new(row.Id, [.. row.Turns.Select(turn => turn.In(spill))], row.Kind);
    }
}

internal sealed record SpilledTurn(IReadOnlyList<SpilledPicture> Images, string User, IReadOnlyList<string> Answers)
{
    public static SpilledTurn Of(Turn turn) =>
        new([.. turn.Images.Select(SpilledPicture.Of)], turn.User, turn.Answers);

    public Turn In(Spill spill) => new([.. Images.Select(image => image.In(spill))], User, Answers);
}

/// <param name="Name">A description, or the path of an image that has a file of its own.</param>
/// <param name="Range">Null for an image with a file of its own.</param>
internal sealed record SpilledPicture(string Name, SpillRange? Range)
{
    public static SpilledPicture Of(IImageSource image) => new(image.Description, (image as SpilledImage)?.Range);

    public IImageSource In(Spill spill) =>
        Range is { } range ? new SpilledImage(spill, range, Name) : new FileImage(Name, isTurnedUpright: true);
}
