using Apache.Arrow;

namespace Phi3VCluster.Training.Data;

/// <summary>One row while it is read: collects what is wrong with it, and puts its images where they can be read later.</summary>
/// <param name="number">From 0 over the whole file, as Hugging Face's viewer counts.</param>
internal sealed class ParquetRow(string path, int number, string imageRoot, Spill spill)
{
    private readonly List<string> _problems = [];

    /// <summary>Empty for a good row.</summary>
    public IReadOnlyList<string> Problems => _problems;

    private RowPlace Place => new(path, number);

    /// <summary>A name for rows that have none of their own.</summary>
    public string DefaultId => $"{System.IO.Path.GetFileName(path)}:{number}";

    public void Refuse(string problem) => _problems.Add($"{Place}: {problem}; leave the row out or mend it.");

    /// <summary>An image{bytes, path} cell: embedded bytes win, a path means the file beside the data.</summary>
    /// <returns>Null when refused.</returns>
    public IImageSource? Image(IArrowArray images, int row, string name)
    {
        if (images.IsNull(row))
        {
            Refuse($"{name} is null");
            return null;
        }
        var bytes = images.Field("bytes").Bytes(row);
        if (bytes.Length > 0) return new SpilledImage(spill, spill.Add(bytes), $"{Place}: {name}");
        if (images.Field("bytes") is { } embedded && !embedded.IsNull(row)) Refuse($"{name} has 0 bytes");
        else if (images.Field("path").Text(row) is not { Length: > 0 } file) Refuse($"{name} has neither bytes nor a path");
        else if (FileImage.Find(imageRoot, file, out var problem, isTurnedUpright: true) is { } found) return found;
        else Refuse($"{name}: {problem}");
        return null;
    }

    /// <summary>A text that must be there.</summary>
    /// <returns>Empty when refused.</returns>
    public string Text(string? found, string name)
    {
        if (string.IsNullOrEmpty(found)) Refuse($"{name} is {(found is null ? "null" : "empty")}");
        return found ?? "";
    }
}
