using Phi3VCluster.Client.App;

namespace Phi3VCluster.Client.Silo;

/// <summary>Where <c>phi3v-silo</c> is.</summary>
internal static class SiloExecutable
{
    public const string Variable = "PHI3V_SILO";

    private const string Name = "phi3v-silo";

    /// <exception cref="CommandFailedException">It is nowhere.</exception>
    public static string Find()
    {
        var places = Places().ToArray();
        return places.FirstOrDefault(File.Exists) ?? throw new CommandFailedException(
            $"{Name}: not found, looked for {string.Join(", ", places)}; build the solution, or set {Variable} to its path.");
    }

    private static IEnumerable<string> Places()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } given) return [Path.GetFullPath(given)];
        var here = Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory);
        return
        [
            Path.Combine(here, "silo", Name), // as published
            Path.GetFullPath(Path.Combine(here, "../../Silo", Path.GetFileName(here), Name)), // as built
        ];
    }
}
