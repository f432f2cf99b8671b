using Phi3VCluster.Client.Hub;
using Phi3VCluster.Client.Tests.Server;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Tests;

/// <summary>What a user is told when the hub says no.</summary>
public sealed class RefusalTests
{
    [Theory]
    [InlineData(403, "GatedRepo", null,
        "tiny/phi: its owner asks for consent first, got 403 without a token; " +
        "accept the terms at HUB/tiny/phi, then set HF_TOKEN to a token of that account.")]
    [InlineData(401, "GatedRepo", "t",
        "tiny/phi: its owner asks for consent first, got 401 with a token; " +
        "accept the terms at HUB/tiny/phi, then set HF_TOKEN to a token of that account.")]
    [InlineData(404, "RevisionNotFound", null, "--revision: tiny/phi has no such revision, got main; give a branch, a tag or a commit.")]
    [InlineData(401, "RepoNotFound", null,
        "tiny/phi: the hub has no such model, or it is private, got 401 without a token; " +
        "check the name, or set HF_TOKEN to a token that may read it.")]
    [InlineData(404, "RepoNotFound", "t",
        "tiny/phi: the hub has no such model, or it is private, got 404 with a token; " +
        "check the name, or set HF_TOKEN to a token that may read it.")]
    [InlineData(401, "", null,
        "tiny/phi: the hub has no such model, or it is private, got 401 without a token; " +
        "check the name, or set HF_TOKEN to a token that may read it.")]
    [InlineData(401, "", "t", "HF_TOKEN: the hub does not accept the token, got 401; make a new one at HUB/settings/tokens.")]
    [InlineData(403, "", "t",
        "tiny/phi: the hub refuses access, got 403 with a token (no[2J entry); set HF_TOKEN to a token that may read it.")]
    public async Task A_refusal_is_one_message_that_says_what_to_do(int status, string code, string? token, string message)
    {
        await using var sandbox = new DownloadSandbox { Token = token };
        sandbox.Hub.Next("revision", Faults.Status(status, ("X-Error-Code", code), ("X-Error-Message", "no\u001b[2J entry")));

        var error = await Assert.ThrowsAsync<InputException>(() => sandbox.PlanAsync());

        var hub = sandbox.Hub.Address.AbsoluteUri.TrimEnd('/');
        Assert.Equal(message.Replace("HUB", hub, StringComparison.Ordinal), Assert.Single(error.Problems));
        Assert.Single(sandbox.Hub.Requests);
    }

    [Fact]
    public async Task Consent_that_is_asked_for_only_with_the_files_is_said_as_well()
    {
        await using var sandbox = new DownloadSandbox(RepoKind.Dataset);
        sandbox.Hub.Add("a.parquet", Some.Bytes(10));
        sandbox.Hub.Next("a.parquet", Faults.Status(403, ("X-Error-Code", "GatedRepo")));

        var error = await Assert.ThrowsAsync<InputException>(() => sandbox.DownloadAsync());

        Assert.Contains($"accept the terms at {sandbox.Hub.Address}datasets/tiny/phi", error.Message);
    }

    [Theory]
    [InlineData("modle", "a/b", "main", "KIND: must be model or dataset, got modle; did you mean model?")]
    [InlineData("space", "a/b", "main", "KIND: must be model or dataset, got space; write model or dataset.")]
    [InlineData("model", "https://huggingface.co/a/b", "main",
        "REPO: must be OWNER/NAME, got https://huggingface.co/a/b; write for example microsoft/Phi-3-vision-128k-instruct.")]
    [InlineData("model", "a/b/c", "main", "REPO: must be OWNER/NAME, got a/b/c; write for example microsoft/Phi-3-vision-128k-instruct.")]
    [InlineData("model", "../b", "main", "REPO: must be OWNER/NAME, got ../b; write for example microsoft/Phi-3-vision-128k-instruct.")]
    [InlineData("model", "a/..", "main", "REPO: must be OWNER/NAME, got a/..; write for example microsoft/Phi-3-vision-128k-instruct.")]
    [InlineData("model", "a/b", "..", "--revision: must be a branch, a tag or a commit, got '..'; write for example main.")]
    public void A_name_that_cannot_be_meant_is_refused_before_anybody_is_asked(string kind, string name, string revision, string problem) =>
        Assert.Equal([problem], Assert.Throws<InputException>(() => HubRepo.Parse(kind, name, revision)).Problems);

    [Theory]
    [InlineData("microsoft/Phi-3-vision-128k-instruct", "Phi-3-vision-128k-instruct")]
    [InlineData("gpt2", "gpt2")]
    public void The_folder_is_called_as_the_repository(string name, string folder) =>
        Assert.Equal(folder, HubRepo.Parse("model", name, "main").ShortName);

    [Fact]
    public void Too_little_room_is_said_before_anything_is_fetched()
    {
        DiskRoom.Check(needed: 5, free: 5, "here");
        Assert.Equal("--to: too little room, got 4.10 GB free in here for 8.29 GB; make room or choose another folder.",
            Assert.Throws<InputException>(() => DiskRoom.Check(8_290_000_000, 4_100_000_000, "here")).Message);
    }

    [Fact]
    public async Task Room_is_needed_for_what_is_not_there_yet()
    {
        await using var sandbox = new DownloadSandbox();
        File.WriteAllBytes(sandbox.At("whole"), new byte[100]);
        File.WriteAllBytes(sandbox.At("half.partial"), new byte[40]);
        HubFile[] files = [.. ((string[])["whole", "half", "new"]).Select(p => new HubFile(p, 100, null, new('a', 40)))];

        Assert.Equal(60 + 100, DiskRoom.Needed(files, sandbox.At("")));
        Assert.True(DiskRoom.Free(sandbox.At("not/there/yet")) > 0);
    }

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(999, "999 B")]
    [InlineData(1000, "1.00 kB")]
    [InlineData(12_345, "12.3 kB")]
    [InlineData(999_600, "1.00 MB")]
    [InlineData(8_290_000_000, "8.29 GB")]
    [InlineData(123_000_000_000_000, "123 TB")]
    public void Bytes_are_counted_in_thousands(long bytes, string words) => Assert.Equal(words, Views.Words.Bytes(bytes));
}
