using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Tests.Checkpoints;

namespace Phi3VCluster.Training.Tests.Engine;

public sealed class RunFolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>A process that was frozen while others went on, and then writes.</summary>
    [Fact]
    public void A_writer_of_an_older_generation_changes_nothing_of_what_a_later_one_writes()
    {
        using var old = new RunFolder(_folder.Path, writes: true);
        old.BeginSteps([Step(1, generation: 1)], generation: 1);
        using var later = new RunFolder(_folder.Path, writes: true);
        later.BeginSteps([Step(1, generation: 1)], generation: 2);
        later.AppendStep(Step(2, generation: 2));

        old.AppendStep(Step(2, generation: 1));
        var refused = Assert.Throws<RankFault>(() => old.BeginSteps([Step(1, generation: 1)], generation: 1));
        later.AppendStep(Step(3, generation: 2));

        Assert.Contains("left behind", refused.Message);
        Assert.Equal([(1, 1), (2, 2), (3, 2)], LocalRun.Steps(_folder.Path)
            .Select(step => (step.GetProperty("step").GetInt32(), step.GetProperty("generation").GetInt32())));
    }

    private static StepRecord Step(long step, long generation) => new(step, 0, generation, 1, 1, 1, 1, 1, 1, 1, 1, 1, ["a"], null);
}
