using System.Text.Json;

namespace Phi3VCluster.Training.Tests.Optim;

/// <summary>Training runs of the original implementation, one folder each; absent on machines without the fixtures.</summary>
internal static class Trajectory
{
    /// <summary>Stands for all runs where there are none, so that their absence is reported as a skip.</summary>
    private const string Absent = "no fixtures";

    public static string Fixtures { get; } = Environment.GetEnvironmentVariable("PHI3V_FIXTURES") ?? DefaultFolder();

    public static IEnumerable<string> Names()
    {
        var root = Path.Combine(Fixtures, "trajectories");
        return Directory.Exists(root)
            ? Directory.GetDirectories(root).Where(folder => File.Exists(FileIn(folder))).Select(Path.GetFileName).Order()!
            : [Absent];
    }

    public static JsonDocument Read(string name)
    {
        Assert.SkipWhen(name == Absent, $"no trajectories in {Fixtures}; set PHI3V_FIXTURES to the folder of the reference cases");
        return JsonDocument.Parse(File.ReadAllText(FileIn(Path.Combine(Fixtures, "trajectories", name))));
    }

    private static string FileIn(string folder) => Path.Combine(folder, "trajectory.json");

    private static string DefaultFolder()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Phi3VCluster.sln"))) folder = folder.Parent;
        return Path.GetFullPath(Path.Combine(folder?.FullName ?? ".", "..", "shared", "fixtures"));
    }
}
