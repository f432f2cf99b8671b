using System.Text.RegularExpressions;

namespace Phi3VCluster.Training.Native;

/// <summary>The kernel's part of NVIDIA's driver, whether libtorch came with CUDA or not.</summary>
internal static partial class NvidiaDriver
{
    private const string VersionFile = "/proc/driver/nvidia/version";

    /// <summary>E.g. 550.54.15; null where there is no driver.</summary>
    public static string? Version => File.Exists(VersionFile) ? Find(File.ReadAllText(VersionFile)) : null;

    /// <param name="text">Of that file: its first line names the module, then its version.</param>
    internal static string? Find(string text) => Number().Match(text) is { Success: true } found ? found.Value : null;

    [GeneratedRegex(@"(?<=NVRM version:.*\s)\d+\.\d+(?:\.\d+)*(?=\s)")]
    private static partial Regex Number();
}
