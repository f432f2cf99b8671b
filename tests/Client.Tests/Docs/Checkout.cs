using System.Runtime.CompilerServices;

namespace Phi3VCluster.Client.Tests.Docs;

/// <summary>Files of the working tree that these tests were built from.</summary>
internal static class Checkout
{
    public static string At(string path) => Path.GetFullPath(Path.Combine(Here(), "../../..", path));

    private static string Here([CallerFilePath] string file = "") => Path.GetDirectoryName(file)!;
}
