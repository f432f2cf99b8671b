using System.Text;
using System.Text.Json;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Hub;
using Phi3VCluster.Client.Tests.Server;

namespace Phi3VCluster.Client.Tests;

/// <summary>Lists of files that no hub should send.</summary>
public sealed class ListingTests
{
    private const string Unknown = "no size or hash of a.json";

    private static readonly string Oid = new('a', 40), Sha = new('b', 64);

    [Theory]
    [InlineData("../outside.json")]
    [InlineData("a/../../outside.json")]
    [InlineData("/etc/outside.json")]
    [InlineData("..\\outside.json")]
    [InlineData("a\\b.json")]
    [InlineData("a//b.json")]
    [InlineData("./b.json")]
    [InlineData("a/./b.json")]
    [InlineData("")]
    [InlineData("..")]
    [InlineData("a\0.json")]
    [InlineData("a\u001b[2J.json")]
    [InlineData("a\nb.json")]
    public async Task A_name_that_leads_out_of_the_folder_stops_everything(string path)
    {
        await using var sandbox = new DownloadSandbox();
        sandbox.Hub.Add("model.safetensors", Some.Bytes(10));
        sandbox.Hub.Next("tree", Faults.Body(List(
            new { type = "file", oid = Oid, size = 2, path = "model.safetensors" }, new { type = "file", oid = Oid, size = 2, path })));

        var error = await Assert.ThrowsAsync<CommandFailedException>(() => sandbox.DownloadAsync());

        Assert.Contains("names a file outside of the repository", error.Message);
        Assert.DoesNotContain(error.Message, char.IsControl);
        Assert.Empty(sandbox.FilesHere());
        Assert.Equal(2, sandbox.Hub.Requests.Count);
    }

    [Theory]
    [InlineData("x", 200, true)]
    [InlineData("x", 248, false)]
    [InlineData("ü", 124, false)]
    public void A_name_must_be_one_that_a_disk_takes(string letter, int count, bool safe) =>
        Assert.Equal(safe, LocalPath.IsSafe($"a/{string.Concat(Enumerable.Repeat(letter, count))}"));

    public static TheoryData<string, string, string> BadAnswers => new()
    {
        { "revision", "<html>", "the answer is not JSON" },
        { "revision", "[]", "the answer has no commit" },
        { "revision", """{"sha": "main"}""", "the answer has no commit" },
        { "revision", """{"sha": "../../../../../../../../../../../../../."}""", "the answer has no commit" },
        { "tree", "{}", "the answer is no list of files" },
        { "tree", Entry(""" "size": 1, "path": "a.json" """), Unknown },
        { "tree", Entry($""" "path": "a.json", "oid": "{Oid}" """), Unknown },
        { "tree", Entry($""" "path": "a.json", "oid": "{Oid}", "size": -1 """), Unknown },
        { "tree", Entry($$""" "path": "a.json", "oid": "{{Oid}}", "size": 1, "lfs": {"size": 1} """), Unknown },
        { "tree", Entry($$""" "path": "a.json", "oid": "{{Oid}}", "size": 1, "lfs": {"size": 1, "oid": "0"} """), Unknown },
        { "tree", Entry($""" "oid": "{Oid}", "size": 1 """), "a file without a path" },
        { "tree", Entry($""" "path": "a.json", "oid": "{Oid}", "size": 1 """, times: 2), "names a file twice, a.json" },
    };

    [Theory]
    [MemberData(nameof(BadAnswers))]
    public async Task An_answer_that_no_hub_gives_is_one_message(string what, string answer, string message)
    {
        await using var sandbox = new DownloadSandbox();
        sandbox.Hub.Next(what, Faults.Body(Encoding.UTF8.GetBytes(answer)));

        var error = await Assert.ThrowsAsync<CommandFailedException>(() => sandbox.PlanAsync());

        Assert.Contains(message, error.Message);
        Assert.EndsWith("is HF_ENDPOINT a Hugging Face hub?", error.Message);
    }

    [Fact]
    public async Task A_list_whose_pages_run_in_a_circle_ends()
    {
        await using var sandbox = new DownloadSandbox();
        sandbox.Hub.Next("tree", [.. Enumerable.Repeat<Fault>((exchange, _, _) => exchange.AnswerAsync(
            200, "[]"u8.ToArray(), ("Link", "</api/models/tiny/phi/tree/x?cursor=1>; rel=\"next\"")), 50)]);

        var error = await Assert.ThrowsAsync<CommandFailedException>(() => sandbox.PlanAsync());

        Assert.Contains("lists the same page of files twice", error.Message);
    }

    [Fact]
    public async Task Large_files_are_known_by_their_own_size_and_hash_and_not_their_pointers()
    {
        await using var sandbox = new DownloadSandbox();
        sandbox.Hub.Next("tree", Faults.Body(List(new
        {
            type = "file",
            oid = Oid,
            size = 7,
            path = "model.safetensors",
            lfs = new { oid = Sha, size = 5_000_000_000, pointerSize = 135 },
            xetHash = Sha,
        })));

        var plan = await sandbox.PlanAsync();

        Assert.Equal(new HubFile("model.safetensors", 5_000_000_000, Sha, GitOid: null), Assert.Single(plan.Choice.Taken));
    }

    private static string Entry(string properties, int times = 1) =>
        $"[{string.Join(", ", Enumerable.Repeat($$"""{"type": "file", {{properties}}}""", times))}]";

    private static byte[] List(params object[] entries) => JsonSerializer.SerializeToUtf8Bytes(entries);
}
