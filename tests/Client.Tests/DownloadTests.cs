using System.Text;
using Phi3VCluster.Client.Hub;
using Phi3VCluster.Client.Tests.Server;

namespace Phi3VCluster.Client.Tests;

public sealed class DownloadTests
{
    [Fact]
    public async Task All_files_of_the_commit_arrive_and_nothing_else_is_left()
    {
        await using var sandbox = new DownloadSandbox();
        FakeFile[] files =
        [
            sandbox.Hub.Add("config.json", "{}"u8.ToArray()), sandbox.Hub.Add("empty.txt", []),
            sandbox.Hub.Add("model.safetensors", Some.Bytes(300_000), large: true),
            sandbox.Hub.Add("a folder/zwölf #1 50%+?.json", Encoding.UTF8.GetBytes("[12]")),
        ];
        sandbox.Hub.Add("modeling.py", "import os"u8.ToArray());

        var results = await sandbox.DownloadAsync();

        Assert.All(results, r => Assert.Equal((FileState.Downloaded, null), (r.State, r.Error)));
        Assert.Equal(files.Select(f => f.Path).Order(StringComparer.Ordinal), sandbox.FilesHere());
        Assert.All(files, f => Assert.Equal(f.Bytes, sandbox.Read(f.Path)));
        Assert.All(sandbox.Hub.Requests.Skip(1), r => Assert.Contains(FakeHub.Commit, r.Target));
        Assert.Empty(sandbox.WaitSeconds);
    }

    [Fact]
    public async Task A_revision_with_a_slash_is_asked_for_as_one_word()
    {
        await using var sandbox = new DownloadSandbox();
        sandbox.Repo = sandbox.Repo with { Revision = "refs/pr/1" };
        sandbox.Hub.Add("model.safetensors", Some.Bytes(10));

        var plan = await sandbox.PlanAsync();

        Assert.Equal(FakeHub.Commit, plan.Commit);
        Assert.StartsWith("/api/models/tiny/phi/revision/refs%2Fpr%2F1?", sandbox.Hub.Requests[0].Target);
    }

    [Fact]
    public async Task A_list_in_pages_is_read_to_its_end_and_from_the_hub_alone()
    {
        await using var sandbox = new DownloadSandbox(RepoKind.Dataset);
        sandbox.Hub.PageSize = 2; // the links to the next page name the public hub, as a mirror's do
        for (var i = 0; i < 5; i++) sandbox.Hub.Add($"data/train-{i}.parquet", Some.Bytes(10 + i), large: true);

        var results = await sandbox.DownloadAsync();

        Assert.Equal(5, results.Count(r => r.State == FileState.Downloaded));
        var list = $"/api/datasets/tiny/phi/tree/{FakeHub.Commit}?";
        Assert.Equal(3, sandbox.Hub.Requests.Count(r => r.Target.StartsWith(list, StringComparison.Ordinal)));
    }

    [Fact]
    public async Task What_is_here_and_right_is_not_fetched_again()
    {
        await using var sandbox = new DownloadSandbox();
        sandbox.Hub.Add("config.json", "{}"u8.ToArray());
        sandbox.Hub.Add("model.safetensors", Some.Bytes(1000), large: true);
        await sandbox.DownloadAsync();
        var before = sandbox.Hub.Requests.Count;

        var results = await sandbox.DownloadAsync();

        Assert.All(results, r => Assert.Equal(FileState.Present, r.State));
        Assert.Equal(2, sandbox.Hub.Requests.Count - before); // the commit and the list
        Assert.Equal(["config.json", "model.safetensors"], sandbox.FilesHere());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_file_that_differs_is_replaced(bool large)
    {
        await using var sandbox = new DownloadSandbox();
        var file = sandbox.Hub.Add("model.safetensors", Some.Bytes(1000), large);
        File.WriteAllBytes(sandbox.At("model.safetensors"), Some.Bytes(1000, seed: 2)); // of the same size

        var result = Assert.Single(await sandbox.DownloadAsync());

        Assert.Equal(FileState.Downloaded, result.State);
        Assert.Equal(file.Bytes, sandbox.Read("model.safetensors"));
    }

    [Fact]
    public async Task Files_come_at_the_same_time()
    {
        await using var sandbox = new DownloadSandbox();
        using var together = new CountdownEvent(3);
        foreach (var name in (string[])["a", "b", "c"])
        {
            sandbox.Hub.Add($"{name}.safetensors", Some.Bytes(10));
            sandbox.Hub.Next($"{name}.safetensors", async (exchange, file, end) =>
            {
                together.Signal();
                while (!together.IsSet) await Task.Delay(5, end); // nobody is answered before all three have asked
                await Faults.None(exchange, file, end);
            });
        }

        Assert.Equal(3, (await sandbox.DownloadAsync(parallel: 3)).Count);
    }

    [Fact]
    public async Task No_more_files_come_at_a_time_than_asked_for()
    {
        await using var sandbox = new DownloadSandbox();
        var (now, most) = (0, 0);
        for (var i = 0; i < 8; i++)
        {
            sandbox.Hub.Add($"{i}.safetensors", Some.Bytes(10));
            sandbox.Hub.Next($"{i}.safetensors", async (exchange, file, end) =>
            {
                most = Math.Max(most, Interlocked.Increment(ref now));
                await Task.Delay(10, end);
                Interlocked.Decrement(ref now);
                await Faults.None(exchange, file, end);
            });
        }

        await sandbox.DownloadAsync(parallel: 2);

        Assert.InRange(most, 1, 2);
    }
}
