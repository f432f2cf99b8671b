using Phi3VCluster.Spec;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Optim;

/// <summary>Reads the process' memory, so nothing may run beside it.</summary>
[Collection<AloneCollection>]
public sealed class OptimizerMemoryTests
{
    private const int Steps = 2_000;

    /// <summary>A leak of one tensor a step would be some 2000 · 500 bytes in the C heap alone; of one shard, 80 MB.</summary>
    private const long AllowedGrowthBytes = 4 << 20;

    [Fact]
    public void Thousands_of_steps_leave_memory_as_it_was()
    {
        var entries = Enumerable.Range(0, 20).Select(i => new FlatEntry(new($"{i}.weight", [500]), i % 2 == 0)).ToArray();
        using var rank = new OptimizerRank(entries, 0, 1, new OptimizerSpec());
        using var scope = NewDisposeScope();
        void Run(int steps)
        {
            for (var i = 0; i < steps; i++)
            {
                rank.Gradients.Zero();
                var norm = Math.Sqrt(GradientNorm.SquareSum(rank.Gradients)) + 2;
                GradientNorm.Scale(rank.Gradients, GradientNorm.ClipFactor(1, norm));
                rank.Optimizer.Step(1e-3);
            }
        }
        Run(Steps);
        var before = ResidentBytes();

        Run(Steps);

        Assert.Equal(0, scope.DisposablesCount);
        Assert.InRange(ResidentBytes() - before, long.MinValue, AllowedGrowthBytes);
    }

    private static long ResidentBytes()
    {
        GC.Collect(); // what the managed heap has not got round to is no leak
        GC.WaitForPendingFinalizers();
        return long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1]) * Environment.SystemPageSize;
    }
}
