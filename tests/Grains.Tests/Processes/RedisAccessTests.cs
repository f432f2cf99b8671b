using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Tls;

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
    public async Task A_run_s_state_goes_by_TLS_to_a_Redis_that_asks_for_the_silo_s_certificate_and_password()
    {
        var certificates = new Certificates(_folder);
        await using var redis = await StartWithTlsAsync(certificates);
        await using var silo = await SiloProcess.StartAsync(_folder, [.. Login(redis), "--redis-user", "phi3v",
            "--redis-authority", certificates.Server("x").Authority, .. certificates.Silo("n1")]);
        using var client = await SiloClient.ConnectAsync(silo.Ready, certificates.Of("alice", PeerRole.Client));

        var run = await TinyRuns.SubmitAsync(client.Front(), new TinyRuns(_folder).Spec(ranks: 2));

        var end = await Eventually.SeeAsync("the run ends", client.Run(run).StatusAsync, s => s.IsFinal);
        Assert.True(end.State == RunState.Done, $"{end.State}: {end.Error}");
        Assert.Contains(await redis.KeysAsync(), key => key.Contains(run, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("other authority", "' is not believed: its certificate is of another authority, CN=authority; correct the authority, ")]
    [InlineData("system's", "is of another authority, CN=authority; give the authority of its certificate, --redis-authority, ")]
    [InlineData("no certificate", "--redis: no Redis answers by TLS at '127.0.0.1:")]
    [InlineData("wrong password", "' refuses the user 'phi3v' (WRONGPASS); ")]
    [InlineData("other name", "' is not believed: its certificate, CN=127.0.0.1, is not for the name that it was asked by; ")]
    [InlineData("in the clear", "--redis-authority: is for a Redis with TLS, got ")]
    public async Task A_Redis_by_TLS_that_is_not_right_is_told_in_one_sentence(string what, string refusal)
    {
        var (certificates, others) = (new Certificates(_folder), new Certificates(_folder, "other"));
        await using var redis = await StartWithTlsAsync(certificates);
        var login = Login(redis, what == "wrong password" ? "another" : Password);
        if (what == "other name") login[1] = login[1].Replace("127.0.0.1", "localhost", StringComparison.Ordinal);
        if (what == "in the clear") login[1] = redis.Address;
        var known = (what == "other authority" ? others : certificates).Server("x").Authority;
        string[] authority = what == "system's" ? [] : ["--redis-authority", known];

        var (exitCode, output, errors) = await SiloProcess.RunAsync(["--gateway-port", "0", "--silo-port", "0", "--http-port", "0",
            .. login, "--redis-user", "phi3v", .. authority, .. what == "no certificate" ? [] : certificates.Silo("n1")]);

        Assert.Equal(2, exitCode);
        Assert.Contains(refusal, Assert.Single(errors.Trim().Split('\n')));
        Assert.DoesNotContain(Password, output + errors);
    }

    [Fact]
    public async Task A_password_behind_the_address_is_not_shown()
    {
        var (_, output, errors) = await SiloProcess.RunAsync(
            "--redis", "127.0.0.1:1,password=topsecret", "--gateway-port", "0", "--silo-port", "0", "--http-port", "0");

        Assert.Contains("no Redis answers at '127.0.0.1:1'", errors);
        Assert.DoesNotContain("topsecret", output + errors);
    }

    private string[] Login(RedisProcess redis, string password = Password) =>
        ["--redis", redis.TlsAddress, "--redis-password-file", Write(password)];

    private Task<RedisProcess> StartWithTlsAsync(Certificates certificates) => RedisProcess.StartWithTlsAsync(
        _folder, certificates.Server("127.0.0.1"), "of-the-test", LineOfManifest().Replace("$hash", Hash(Password)));

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
