using System.Security.Cryptography;
using System.Text.Json;

namespace Phi3VCluster.Training.Tests.Processing;

/// <summary>What the original model's code computes, in the folder PHI3V_FIXTURES or ../shared/fixtures beside the repository.</summary>
internal static class FixtureFolder
{
    /// <summary>A path in the folder; skips the test where there is none.</summary>
    public static string Path(params string[] parts)
    {
        var root = Environment.GetEnvironmentVariable("PHI3V_FIXTURES") ?? Beside();
        if (root is null || !Directory.Exists(root)) Assert.Skip($"no fixtures: PHI3V_FIXTURES is not a folder, got {root ?? "nothing"}");
        return System.IO.Path.Combine([System.IO.Path.GetFullPath(root), .. parts]);
    }

    public static IEnumerable<JsonElement> Lines(string path) =>
        File.ReadLines(path).Where(line => line.Length > 0).Select(line => JsonDocument.Parse(line).RootElement);

    public static string Sha256(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    /// <summary>Fails with the first few of all that did not agree; fails too when nothing was looked at.</summary>
    public static void AssertNone(IReadOnlyList<string> problems, int looked) =>
        Assert.True(looked > 0 && problems.Count == 0,
            $"{problems.Count} problems in {looked} cases:\n{string.Join('\n', problems.Take(20))}");

    private static string? Beside()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "Phi3VCluster.sln")))
                return System.IO.Path.Combine(folder.FullName, "..", "shared", "fixtures");
        return null;
    }
}
