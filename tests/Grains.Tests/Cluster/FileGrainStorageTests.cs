using Orleans.Runtime;
using Orleans.Storage;
using Phi3VCluster.Silo;

namespace Phi3VCluster.Grains.Tests.Cluster;

public sealed class FileGrainStorageTests : IDisposable
{
    private static readonly GrainId Grain = GrainId.Create("run", "a/b c@d");

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-").FullName;

    public sealed class Numbers
    {
        public int Value { get; set; }
    }

    [Fact]
    public async Task What_was_written_is_read_after_a_restart()
    {
        using (var storage = Open())
            for (var i = 1; i <= 3; i++) await WriteAsync(storage, i, await ReadAsync(storage));

        using var restarted = Open();
        var read = await ReadAsync(restarted);

        Assert.Equal((true, "3", 3), (read.RecordExists, read.ETag, read.State!.Value));
    }

    [Fact]
    public async Task A_grain_that_was_never_written_is_new()
    {
        using var storage = Open();
        var read = await ReadAsync(storage);
        Assert.Equal((false, null, 0), (read.RecordExists, read.ETag, read.State!.Value));
    }

    [Fact]
    public async Task A_write_over_a_newer_state_is_refused_and_changes_nothing()
    {
        using var storage = Open();
        var first = await ReadAsync(storage);
        var second = await ReadAsync(storage);
        await WriteAsync(storage, 1, first);

        await Assert.ThrowsAsync<InconsistentStateException>(() => WriteAsync(storage, 2, second));
        await Assert.ThrowsAsync<InconsistentStateException>(() => storage.ClearStateAsync("run", Grain, second));

        Assert.Equal(1, (await ReadAsync(storage)).State!.Value);
    }

    [Fact]
    public async Task A_cleared_state_is_gone()
    {
        using var storage = Open();
        var state = await ReadAsync(storage);
        await WriteAsync(storage, 1, state);

        await storage.ClearStateAsync("run", Grain, state);

        Assert.False((await ReadAsync(storage)).RecordExists);
    }

    [Fact]
    public void Two_silos_cannot_share_a_folder()
    {
        using var storage = Open();
        var problem = Assert.Throws<Spec.InputException>(Open).Message;
        Assert.StartsWith("--data: ", problem);
        Assert.Contains(_folder, problem);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private FileGrainStorage Open() => new(_folder, new JsonStateSerializer());

    private static async Task<GrainState<Numbers>> ReadAsync(FileGrainStorage storage)
    {
        var state = new GrainState<Numbers>();
        await storage.ReadStateAsync("run", Grain, state);
        return state;
    }

    private static async Task WriteAsync(FileGrainStorage storage, int value, GrainState<Numbers> state)
    {
        state.State = new Numbers { Value = value };
        await storage.WriteStateAsync("run", Grain, state);
    }
}
