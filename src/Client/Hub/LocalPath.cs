using System.Text;

namespace Phi3VCluster.Client.Hub;

/// <summary>A server's name for a file must stay inside the folder that the user named.</summary>
internal static class LocalPath
{
    private const int LongestName = 255 - 8; // bytes that Linux allows, less those of ".partial"

    public static bool IsSafe(string path) =>
        !path.Contains('\\') && !path.Any(char.IsControl) && path.Split('/').All(name =>
            name is not ("" or "." or "..") && Encoding.UTF8.GetByteCount(name) <= LongestName);

    /// <param name="path">One that <see cref="IsSafe"/>.</param>
    public static string In(string folder, string path) => Path.Combine(folder, path);
}
