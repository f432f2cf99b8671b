using Phi3VCluster.Training.Checkpoints;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Checkpoints;

public sealed class CheckpointWriterTests : IDisposable
{
    private readonly TemporaryFolder _run = new();

    private static CheckpointManifest Manifest => new()
    {
        Run = "tiny",
        Generation = 1,
        Step = 7,
        Mode = "replicated",
        WorldSize = 1,
        Fingerprint = "",
        Spec = "",
        Elements = 3,
        Scalars = "",
        Files = [],
        WrittenAt = DateTime.UtcNow,
    };

    public void Dispose() => _run.Dispose();

    [Fact]
    public void An_older_checkpoint_that_cannot_be_removed_does_not_cost_the_one_just_written()
    {
        using var writer = new CheckpointWriter();
        var store = new FolderStore(_run.Path);
        var complete = new CheckpointCompletion(Manifest, () => "", _ => throw new IOException("a folder of other people"));

        var shard = new StateShard(new(0, 3), ones(3), ones(3), ones(3));
        Assert.True(writer.Start(new(store.FolderOf(7, generation: 1), Step: 7, Generation: 1, Rank: 0, WorldSize: 1, complete), [shard]));
        writer.Wait();

        Assert.Equal(7, Assert.Single(store.Complete()).Step);
        Assert.Equal(7, writer.NewestStep);
        Assert.EndsWith("is complete, but older ones could not be removed: a folder of other people", writer.Problem);
    }
}
