using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// What seats must have in common to train together, and a checkpoint with the run that goes on from it: the weights they began with
/// and the samples they draw from. Text, so that what differs can be read.
/// </summary>
internal static class Fingerprint
{
    public static string Of(string modelFolder, string precision, SplitRows training)
    {
        var files = new DirectoryInfo(modelFolder).EnumerateFiles("*.safetensors*").OrderBy(file => file.Name, StringComparer.Ordinal);
        var weights = Hash(files.Select(file => $"{file.Name} {file.Length}"));
        var samples = Hash(Enumerable.Range(0, training.Count).Select(training.IdOf));
        return string.Create(CultureInfo.InvariantCulture, $"precision {precision}, weights {weights}, {training.Count} samples {samples}");
    }

    private static string Hash(IEnumerable<string> lines)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var line in lines) hash.AppendData(Encoding.UTF8.GetBytes(line + "\n"));
        return Convert.ToHexString(hash.GetCurrentHash())[..12].ToLowerInvariant();
    }
}
