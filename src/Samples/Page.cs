namespace Phi3VCluster.Samples;

/// <summary>What a page says and where: every field once, each in a row of its own.</summary>
internal sealed record Page(IReadOnlyList<PlacedField> Fields)
{
    public const int RowCount = 6;

    public static Page Draw(RandomStream random)
    {
        var rows = random.Shuffled(Enumerable.Range(0, RowCount)).Take(Field.All.Count).Order();
        return new([.. random.Shuffled(Field.All).Zip(rows, (field, row) => new PlacedField(field, row, random.Pick(field.Values)))]);
    }

    public string ValueOf(Field field) => Fields.First(placed => placed.Field == field).Value;

    /// <summary>Two pages look alike exactly when these are equal.</summary>
    public string Fingerprint => string.Join(' ', Fields.Select(placed => $"{placed.Row}:{placed.Value}"));
}

/// <param name="Row">0 at the top.</param>
internal sealed record PlacedField(Field Field, int Row, string Value);
