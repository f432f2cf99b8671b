using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using Phi3VCluster.Training.Snapshots;
using Phi3VCluster.Training.Tests.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Snapshots;

/// <summary>A snapshot is copied while the rank goes on, and has nothing of what the rank goes on to.</summary>
public sealed class SnapshotCopyTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    [Theory]
    [InlineData(false, ScalarType.Float32)]
    [InlineData(true, ScalarType.Float32)] // its part lies in pieces
    [InlineData(true, ScalarType.BFloat16)] // with masters of its own
    public void Memory_is_filled_as_tensors_copy_it(bool scattered, ScalarType type)
    {
        using var rank = Rank(scattered, type);
        using var expected = empty(3, rank.State.Layout.OwnCount);
        rank.State.CopyTo(expected);

        using var memory = new ShardMemory(rank.State.Layout.OwnCount);
        memory.Fill(rank.State.InHostMemory()!);

        using var view = TensorMemory.View(memory.Address, [ShardMemory.Parts, memory.Elements], ScalarType.Float32);
        Assert.Equal(expected.data<float>().ToArray(), view.data<float>().ToArray());
        Assert.NotEqual(0, view[1].abs().sum().item<float>()); // moments, not only the start
    }

    [Fact]
    public void What_does_not_fill_it_is_refused()
    {
        using var rank = Rank();
        using var memory = new ShardMemory(rank.State.Layout.OwnCount + 1);

        Assert.Contains("do not fill", Assert.Throws<ArgumentException>(() => memory.Fill(rank.State.InHostMemory()!)).Message);
    }

    [Fact]
    public void An_update_waits_for_the_copy()
    {
        using var rank = Rank();
        using var state = new TrainingState(new(), new TrainingPlan([], 1), rank.Parameters, new(1, 1, 1, 0));
        using var copier = new SnapshotCopier();
        using var mayEnd = new ManualResetEventSlim();
        state.Copying = copier.Begin(() => mayEnd.Wait(Patience));

        var update = new Thread(state.Tear);
        update.Start();
        Assert.True(SpinWait.SpinUntil(() => update.ThreadState.HasFlag(ThreadState.WaitSleepJoin), Patience));
        Assert.False(state.IsTorn);

        mayEnd.Set();
        Assert.True(update.Join(Patience));
        Assert.True(state.IsTorn);
    }

    [Fact]
    public async Task A_copy_that_fails_is_told_once_and_the_next_is_made()
    {
        using var rank = Rank();
        using var state = new TrainingState(new(), new TrainingPlan([], 1), rank.Parameters, new(1, 1, 1, 0));
        using var copier = new SnapshotCopier();
        state.Copying = copier.Begin(() => throw new OutOfMemoryException());

        Assert.Throws<OutOfMemoryException>(state.Settle);
        state.Settle();
        await copier.Begin(() => { }).WaitAsync(Patience, TestContext.Current.CancellationToken);
    }

    private static OptimizerRank Rank(bool scattered = false, ScalarType type = ScalarType.Float32)
    {
        FlatEntry[] entries = [Entry("a"), Entry("b"), Entry("c")];
        var rank = new OptimizerRank(entries, rank: 1, worldSize: 2, new(), scattered, type);
        rank.Step([.. Enumerable.Range(1, entries.Sum(entry => (int)entry.Tensor.ElementCount)).Select(i => i / 100f)], learningRate: 0.1);
        return rank;
    }

    private static FlatEntry Entry(string unit) => new(new($"{unit}.weight", [5, 7]), true) { Unit = unit };
}
