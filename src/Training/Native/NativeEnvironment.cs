using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// The environment as native libraries see it. <see cref="Environment.SetEnvironmentVariable(string, string?)"/> changes only .NET's
/// own copy of it on Linux: <c>getenv</c> in a library goes on to see what the process was started with.
/// </summary>
internal static partial class NativeEnvironment
{
    /// <summary>Sets a variable unless whoever started the process has set it. Before the library that reads it is used.</summary>
    public static void SetDefault(string name, string value)
    {
        if (setenv(name, value, overwrite: 0) != 0) throw new InvalidOperationException($"setenv refused {name}={value}.");
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int setenv(string name, string value, int overwrite);
}
