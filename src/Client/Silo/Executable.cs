using Phi3VCluster.Client.App;

namespace Phi3VCluster.Client.Silo;

/// <summary>A program that the CLI starts and never loads, and where it is.</summary>
/// <param name="variable">Of the environment; names another place.</param>
/// <param name="published">Its folder beside the CLI when published.</param>
/// <param name="project">The project that builds it.</param>
internal sealed class Executable(string name, string variable, string published, string project)
{
    /// <summary>The host of a node.</summary>
    public static readonly Executable Silo = new("phi3v-silo", "PHI3V_SILO", "silo", "Silo");

    /// <summary>What several silos of one machine share in place of a Redis.</summary>
    public static readonly Executable Store = new("phi3v-store", "PHI3V_STORE", "store", "LocalStore");

    /// <exception cref="CommandFailedException">It is nowhere.</exception>
    public string Find()
    {
        var places = Places().ToArray();
        return places.FirstOrDefault(File.Exists) ?? throw new CommandFailedException(
            $"{name}: not found, looked for {string.Join(", ", places)}; build the solution, or set {variable} to its path.");
    }

    private IEnumerable<string> Places()
    {
        if (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } given) return [Path.GetFullPath(given)];
        var here = Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory);
        return
        [
            Path.Combine(here, published, name), // as published
            Path.GetFullPath(Path.Combine(here, "../..", project, Path.GetFileName(here), name)), // as built
        ];
    }
}
