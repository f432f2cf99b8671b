using System.Text.Json;
using System.Text.Json.Serialization;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Silo;

/// <summary>
/// Runs that commands of this machine have begun, kept in <c>$PHI3V_HOME/runs</c>, a file a run: how those of local silos ended, for their
/// silos, which knew them, are gone; and where the folders of all others are, should nobody answer for them.
/// </summary>
internal static class LocalRuns
{
    private const int MostKept = 200;

    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, // a diverged loss
        Converters = { new JsonStringEnumConverter() },
        WriteIndented = true,
    };

    private static string Folder => Path.Combine(UpState.Home, "runs");

    public static string LogFile(string output) => Path.Combine(output, "run.log");

    /// <summary>Keeps what is known of a run. What cannot be kept is no reason to fail.</summary>
    public static void Save(RunStatus status, IReadOnlyList<string> log)
    {
        try
        {
            if (log.Count > 0 && Directory.Exists(status.Output)) File.WriteAllLines(LogFile(status.Output), log);
            Directory.CreateDirectory(Folder);
            AtomicFile.Write(Path.Combine(Folder, $"{status.Run}.json"), JsonSerializer.Serialize(status, Json));
            foreach (var old in Files().Skip(MostKept)) old.Delete();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // The run's own folder has its results.
        }
    }

    /// <summary>It has begun; what becomes of it is in its folder.</summary>
    public static void SaveBegun(string run, string name, string output) =>
        Save(new() { Run = run, Name = name, Output = output, SubmittedAt = DateTimeOffset.UtcNow }, []);

    /// <summary>Newest first.</summary>
    public static IReadOnlyList<RunStatus> All() => [.. Files().Select(file => Read(file.FullName)).OfType<RunStatus>()];

    /// <summary>Ids, newest first.</summary>
    public static string[] Names() => [.. Files().Select(file => Path.GetFileNameWithoutExtension(file.Name))];

    /// <param name="given">A run's id, its beginning, or last.</param>
    public static RunStatus? Find(string given)
    {
        var names = Names();
        var meant = names.FirstOrDefault(name => name == given)
            ?? (given == "last" ? names.FirstOrDefault() : null)
            ?? (names.Where(name => name.StartsWith(given, StringComparison.Ordinal)).ToArray() is [var one] ? one : null);
        return meant is null ? null : Read(Path.Combine(Folder, $"{meant}.json"));
    }

    private static IEnumerable<FileInfo> Files() => Directory.Exists(Folder)
        ? new DirectoryInfo(Folder).EnumerateFiles("*.json").OrderByDescending(file => file.LastWriteTimeUtc) : [];

    private static RunStatus? Read(string file)
    {
        try
        {
            return JsonSerializer.Deserialize<RunStatus>(File.ReadAllText(file), Json);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }
}
