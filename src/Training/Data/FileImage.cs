using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>An image in a file of its own.</summary>
internal sealed class FileImage(string path, bool isTurnedUpright) : IImageSource
{
    public string Description => path;
    public string? File => path;
    public bool IsTurnedUpright => isTurnedUpright;

    public byte[] Read() => Read(() => System.IO.File.ReadAllBytes(path));

    public byte[] ReadBeginning(int most) => Read(() =>
    {
        using var file = System.IO.File.OpenHandle(path);
        var bytes = new byte[Math.Min(most, RandomAccess.GetLength(file))];
        return bytes[..RandomAccess.Read(file, bytes, fileOffset: 0)];
    });

    private byte[] Read(Func<byte[]> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{path}: cannot be read ({e.Message}); put the image back or leave the row out.");
        }
    }

    /// <summary>The image at <paramref name="path"/> below <paramref name="root"/>, or null and why there is none.</summary>
    public static IImageSource? Find(string root, string path, out string problem, bool isTurnedUpright = false)
    {
        var file = new FileInfo(Path.Combine(root, path));
        problem = Directory.Exists(file.FullName) ? $"is a folder and no image file, got {Shown.Value(file.FullName)}"
            : !file.Exists ? $"no image file {Shown.Value(file.FullName)}"
            : file.Length == 0 ? $"the image file {Shown.Value(file.FullName)} is empty" : "";
        return problem.Length == 0 ? new FileImage(file.FullName, isTurnedUpright) : null;
    }
}
