using System.Runtime.CompilerServices;

namespace Phi3VCluster.Grains.Tests.Protocol;

public sealed class ScenarioTests
{
    public static TheoryData<string> Files() =>
        [.. Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "Scenarios"), "*.txt").Select(f => Path.GetFileName(f))];

    /// <summary>After a change of the protocol, PHI3V_REWRITE_SCENARIOS=1 writes the files anew: then review their difference.</summary>
    [Theory, MemberData(nameof(Files))]
    public void The_scenario_replays_as_recorded(string file)
    {
        var recorded = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Scenarios", file));

        var replayed = Scenario.Replay(recorded);

        if (Environment.GetEnvironmentVariable("PHI3V_REWRITE_SCENARIOS") == "1") File.WriteAllText(SourceOf(file), replayed);
        Assert.Equal(recorded, replayed);
    }

    private static string SourceOf(string file, [CallerFilePath] string here = "") =>
        Path.Combine(Path.GetDirectoryName(here)!, "..", "Scenarios", file);
}
