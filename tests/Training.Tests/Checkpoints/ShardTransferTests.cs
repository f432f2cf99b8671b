using System.Security.Cryptography;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Tests.Checkpoints;

/// <summary>A file that another seat brings is there whole, or not at all.</summary>
public sealed class ShardTransferTests : IDisposable
{
    private const int MostBytes = 5_000_000;

    private readonly DirectoryInfo _disks = Directory.CreateTempSubdirectory();
    private readonly List<(string Folder, string Problem)> _failed = [];
    private readonly FolderStore _theirs;
    private readonly ShardTransfer _keeper, _sender;

    public ShardTransferTests()
    {
        _theirs = new(Path.Combine(_disks.FullName, "theirs"));
        _keeper = new(new RingChannels("127.0.0.1"), _theirs, MostBytes, (folder, problem) =>
        {
            lock (_failed) _failed.Add((folder, problem));
        });
        _sender = new(new RingChannels("127.0.0.1"), new(Path.Combine(_disks.FullName, "ours")), MostBytes, (_, _) => { });
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string Folder => _theirs.FolderOf(step: 7, generation: 2);

    public void Dispose()
    {
        _sender.Dispose();
        _keeper.Dispose();
        _disks.Delete(recursive: true);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3_500_000)]
    public void What_arrives_is_what_was_written(int bytes)
    {
        var (part, file) = Shard(bytes);

        _sender.Send(_keeper.Address, part, file, Stop);

        Assert.Equal(file, CheckpointFile.Told(Folder, file.Name));
        Assert.Null(file.Problem(Folder));
        Assert.Equal(2, Directory.GetFiles(Folder).Length);
    }

    [Fact]
    public void A_file_that_changes_on_its_way_is_refused()
    {
        var (part, file) = Shard(1000);

        Assert.Throws<IOException>(() => _sender.Send(_keeper.Address, part, file with { Sha256 = new string('0', 64) }, Stop));

        Assert.EndsWith("was damaged on its way", Assert.Single(_failed).Problem);
        Assert.Equal(Folder, _failed[0].Folder);
        Assert.Empty(Directory.GetFiles(Folder));
    }

    [Fact]
    public void A_complete_checkpoint_is_not_written_over()
    {
        var (part, file) = Shard(1000);
        Directory.CreateDirectory(Folder);
        File.WriteAllText(Path.Combine(Folder, CheckpointManifest.FileName), "{}");

        Assert.Throws<IOException>(() => _sender.Send(_keeper.Address, part, file, Stop));

        Assert.Single(Directory.GetFiles(Folder));
    }

    [Theory]
    [InlineData(7, 2, 3, MostBytes + 1)]
    [InlineData(7, 3, 3, 10)]
    [InlineData(7, -1, 3, 10)]
    [InlineData(-7, 0, 3, 10)]
    [InlineData(7, 0, 3, -10)]
    public void What_is_no_shard_of_the_run_is_refused(long step, int rank, int worldSize, long bytes)
    {
        var (part, file) = Shard(10);

        Assert.Throws<IOException>(() => _sender.Send(
            _keeper.Address, part with { Step = step, Rank = rank, WorldSize = worldSize }, file with { Bytes = bytes }, Stop));

        Assert.False(Directory.Exists(_theirs.Root));
    }

    [Fact]
    public void Noise_ends_its_own_connection_alone()
    {
        using (var noise = RingChannels.Go(_keeper.Address, tls: null, Stop))
        {
            noise.Send([255, 255, 255, 127, 1, 2, 3], Stop);
            Assert.Throws<IOException>(() => noise.Receive(new byte[1], Stop));
        }
        using (var noise = RingChannels.Go(_keeper.Address, tls: null, Stop))
        {
            noise.Send([2, 0, 0, 0, (byte)'[', (byte)'x'], Stop);
            Assert.Throws<IOException>(() => noise.Receive(new byte[1], Stop));
        }
        var (part, file) = Shard(10);

        _sender.Send(_keeper.Address, part, file, Stop);

        Assert.Null(file.Problem(Folder));
    }

    private (CheckpointPart Part, CheckpointFile File) Shard(int bytes)
    {
        var ours = Directory.CreateDirectory(Path.Combine(_disks.FullName, "ours", "step")).FullName;
        var path = Path.Combine(ours, ShardFile.NameOf(1, 3));
        File.WriteAllBytes(path, RandomNumberGenerator.GetBytes(bytes));
        return (new(ours, Step: 7, Generation: 2, Rank: 1, WorldSize: 3, Complete: null), CheckpointFile.Of(path));
    }
}
