using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Tests.Processes;

/// <summary>A Redis that knows its users, and lets ours do no more than a cluster needs.</summary>
public sealed class RedisAccessTests : IDisposable
{
    private const string Password = "correct horse";

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_run_needs_no_more_than_the_rights_of_the_access_list()
    {
        await using var redis = await StartAsync();
        await using var silo = await SiloProcess.StartAsync(
            _folder, "--redis", redis.Address, "--redis-user", "phi3v", "--redis-password-file", Write(Password + "\n"));
        using var client = await SiloClient.ConnectAsync(silo.Ready);

        var run = await TinyRuns.SubmitAsync(client.Front(), new TinyRuns(_folder).Spec(ranks: 2));

        var end = await Eventually.SeeAsync("the run ends", client.Run(run).StatusAsync, s => s.IsFinal);
        Assert.True(end.State == RunState.Done, $"{end.State}: {end.Error}");
        Assert.Contains(await redis.KeysAsync(), key => key.Contains(run, StringComparison.Ordinal));
        Assert.DoesNotContain(await redis.KeysAsync(), key => !key.StartsWith("phi3v/", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(null, null, "refuses the default user without a password (NOAUTH)")]
    [InlineData("phi3v", "secret-that-is-wrong", "refuses the user 'phi3v' (WRONGPASS)")]
    [InlineData("nobody", Password, "refuses the user 'nobody' (WRONGPASS)")]
    [InlineData("phi3v", "", "--redis-password-file: must hold a password")]
    public async Task Who_is_not_let_in_is_told_so_in_one_sentence_without_the_password(string? user, string? password, string refusal)
    {
        await using var redis = await StartAsync();
        string[] login = [.. user is null ? [] : (string[])["--redis-user", user],
            .. password is null ? [] : (string[])["--redis-password-file", Write(password)]];

        var (exitCode, output, errors) = await SiloProcess.RunAsync(
            ["--redis", redis.Address, "--gateway-port", "0", "--silo-port", "0", "--http-port", "0", .. login]);

        Assert.Equal(2, exitCode);
        Assert.Contains(refusal, Assert.Single(errors.Trim().Split('\n')));
        if (password is { Length: > 0 }) Assert.DoesNotContain(password, output + errors);
    }

    [Fact]
    public async Task A_password_behind_the_address_is_not_shown()
    {
        var (_, output, errors) = await SiloProcess.RunAsync(
            "--redis", "127.0.0.1:1,password=topsecret", "--gateway-port", "0", "--silo-port", "0", "--http-port", "0");

        Assert.Contains("no Redis answers at '127.0.0.1:1'", errors);
        Assert.DoesNotContain("topsecret", output + errors);
    }

    private Task<RedisProcess> StartAsync() =>
        RedisProcess.StartWithUsersAsync(_folder, "of-the-test", LineOfManifest().Replace("$hash", Hash(Password)));

    /// <summary>The user as the manifests for Kubernetes make it.</summary>
    private static string LineOfManifest()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Phi3VCluster.sln"))) folder = Path.GetDirectoryName(folder)!;
        return File.ReadLines(Path.Combine(folder, "deploy/k8s/base/redis-start.sh"))
            .Single(line => line.StartsWith("user phi3v ", StringComparison.Ordinal));
    }

    private string Write(string password)
    {
        var file = Path.Combine(_folder, "password");
        File.WriteAllText(file, password);
        return file;
    }

    private static string Hash(string text) =>
        Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(text)));
}
