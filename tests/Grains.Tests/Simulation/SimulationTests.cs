using System.Globalization;

namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>
/// Thousands of runs in virtual time, on which silos die, freeze and lose each other, messages are lost, doubled and late, and coordinators
/// are replaced and do not know it. A failing seed prints all that happened.
/// </summary>
public sealed class SimulationTests
{
    private const int SeedsAtATime = 250, MostSeeds = 2000;

    /// <summary>PHI3V_SEEDS=100000 plays as many.</summary>
    private static readonly int Seeds =
        int.Parse(Environment.GetEnvironmentVariable("PHI3V_SEEDS") ?? "2000", CultureInfo.InvariantCulture);

    public static TheoryData<int> Starts() => [.. Enumerable.Range(0, Seeds / SeedsAtATime).Select(i => i * SeedsAtATime)];

    public static TheoryData<string> Bugs() => [.. Enum.GetNames<Bug>().Where(name => name != nameof(Bug.None))];

    [Theory, MemberData(nameof(Starts))]
    public void Every_run_comes_to_its_end_and_breaks_no_rule_on_the_way(int first)
    {
        for (var seed = first; seed < first + SeedsAtATime; seed++)
            if (Simulation.Play(seed) is { } broken) Assert.Fail(broken);
    }

    [Theory, MemberData(nameof(Bugs))]
    public void A_planted_bug_is_found(string bug)
    {
        var found = Enumerable.Range(0, MostSeeds).FirstOrDefault(seed => Simulation.Play(seed, Enum.Parse<Bug>(bug)) is not null, -1);

        Assert.NotEqual(-1, found);
        TestContext.Current.SendDiagnosticMessage("{0} is found by seed {1}", bug, found);
    }

    [Fact]
    public void A_seed_replays()
    {
        var broken = Enumerable.Range(0, MostSeeds)
            .Select(seed => (seed, Simulation.Play(seed, Bug.JoinsOnce)))
            .First(played => played.Item2 is not null);

        Assert.Equal(broken.Item2, Simulation.Play(broken.seed, Bug.JoinsOnce));
    }
}
