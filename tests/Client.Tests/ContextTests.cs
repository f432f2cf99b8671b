using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Client.Tests;

/// <summary>Names for clusters, in the built CLI.</summary>
public sealed class ContextTests : IDisposable
{
    private const string Nobody = "127.0.0.1:1", NobodyElse = "127.0.0.1:2"; // nothing listens below 1024 here

    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_context_in_use_is_asked_and_named_until_something_explicit_is_said()
    {
        await DoAsync("context", "set", "lab", "--cluster", Nobody);
        var before = await _cli.RunAsync("nodes");
        await DoAsync("context", "use", "lab");
        var used = await _cli.RunAsync("nodes");
        var option = await _cli.RunAsync("nodes", "--cluster", NobodyElse);
        _cli.Set("PHI3V_CLUSTER", NobodyElse);
        var environment = await _cli.RunAsync("nodes");
        var local = await _cli.RunAsync("nodes", "--cluster", "local");

        Assert.Contains("none is configured", before.Stderr);
        Assert.Equal((3, 3, 3, 3), (used.ExitCode, option.ExitCode, environment.ExitCode, local.ExitCode));
        Assert.Contains($"no cluster answers at {Nobody}, of context lab (", used.Stderr);
        Assert.Contains($"no cluster answers at {NobodyElse} (", option.Stderr);
        Assert.Contains($"no cluster answers at {NobodyElse}, of PHI3V_CLUSTER (", environment.Stderr);
        Assert.Contains("none is configured", local.Stderr);
    }

    [Fact]
    public async Task Contexts_are_listed_changed_and_removed()
    {
        await DoAsync("context", "set", "lab", "--cluster", Nobody);
        await DoAsync("context", "set", "cloud", "--cluster", "[::1]:30000");
        await DoAsync("context", "use", "lab");
        await DoAsync("context", "set", "lab", "--cluster", NobodyElse);

        var listed = await _cli.JsonAsync(0, "context", "list");
        Assert.Equal(["cloud [::1]:30000 False", $"lab {NobodyElse} True"], listed.EnumerateArray()
            .Select(one => $"{one.GetProperty("name")} {one.GetProperty("cluster")} {one.GetProperty("in_use")}"));
        Assert.Equal($"removed lab; no context is in use\n", (await DoAsync("context", "remove", "lab")).Stdout);
        Assert.Single((await _cli.JsonAsync(0, "context")).EnumerateArray());
        Assert.Contains("none is configured", (await _cli.RunAsync("nodes")).Stderr);
    }

    [Fact]
    public async Task No_context_is_used_where_none_is_said()
    {
        await DoAsync("context", "set", "lab", "--cluster", Nobody);
        await DoAsync("context", "use", "lab");
        await DoAsync("context", "use", "none");

        Assert.Contains("none is configured", (await _cli.RunAsync("nodes")).Stderr);
    }

    [Fact]
    public async Task A_context_s_certificate_is_shown_to_its_cluster_unless_the_environment_has_one()
    {
        await DoAsync("certs", "--to", "certs", "--client", "alice", "--silo", "one");
        await DoAsync("context", "set", "lab", "--cluster", Nobody, "--tls-certificate", "certs/alice.crt",
            "--tls-key", "certs/alice.key", "--tls-authority", "certs/authority.crt");
        await DoAsync("context", "use", "lab");

        var certificate = await CertificateAsync();
        var elsewhere = await CertificateAsync("--cluster", NobodyElse);
        var same = await CertificateAsync("--cluster", Nobody);
        _cli.Set("PHI3V_TLS_CERTIFICATE", _cli.At("certs/one.crt"));
        _cli.Set("PHI3V_TLS_KEY", _cli.At("certs/one.key"));
        _cli.Set("PHI3V_TLS_AUTHORITY", _cli.At("certs/authority.crt"));
        var environment = await CertificateAsync();

        Assert.StartsWith("CN=alice, of a client", certificate);
        Assert.StartsWith("CN=alice, of a client", same);
        Assert.StartsWith("none set", elsewhere);
        Assert.StartsWith("CN=one, of a silo", environment);
    }

    [Theory]
    [InlineData("--cluster: must be host:port, got lab; write for example 127.0.0.1:30000.", "set", "x", "--cluster", "lab")]
    [InlineData("NAME: must be letters, digits, '.', '_' and '-', and not none, got 'none'; choose another.",
        "set", "none", "--cluster", Nobody)]
    [InlineData("--tls-key: must be given with --tls-certificate, got nothing; "
        + "give all of --tls-certificate, --tls-key, --tls-authority, or none.",
        "set", "x", "--cluster", Nobody, "--tls-certificate", "a.crt")]
    [InlineData("NAME: there is no such context, got lba; did you mean lab?", "use", "lba")]
    [InlineData("NAME: there is no such context, got lba; did you mean lab?", "remove", "lba")]
    [InlineData("there is no verb 'usee'; did you mean use? See `phi3v context --help`.", "usee", "lab")]
    public async Task What_is_wrong_is_said_and_nothing_changes(string message, params string[] arguments)
    {
        await DoAsync("context", "set", "lab", "--cluster", Nobody);
        var before = File.ReadAllText(_cli.At("home/contexts.json"));

        var result = await _cli.RunAsync(["context", .. arguments]);

        Assert.Equal((2, "", $"phi3v: {message}\n"), (result.ExitCode, result.Stdout, result.Stderr));
        Assert.Equal(before, File.ReadAllText(_cli.At("home/contexts.json")));
    }

    [Fact]
    public async Task A_certificate_that_cannot_be_used_is_refused_when_it_is_set()
    {
        var result = await _cli.RunAsync("context", "set", "lab", "--cluster", Nobody,
            "--tls-certificate", "no.crt", "--tls-key", "no.key", "--tls-authority", "no.crt");

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("no.crt", result.Stderr);
        Assert.False(File.Exists(_cli.At("home/contexts.json")));
    }

    [Fact]
    public async Task A_file_that_is_none_is_named()
    {
        _cli.Write("home/contexts.json", "{\n oops");

        var result = await _cli.RunAsync("nodes");

        Assert.Equal(2, result.ExitCode);
        Assert.Contains($"{_cli.At("home/contexts.json")}: must be what `phi3v context` writes, got line 2", result.Stderr);
    }

    private async Task<string> CertificateAsync(params string[] options) => (await _cli.JsonAsync(1, ["doctor", .. options]))
        .EnumerateArray().Single(row => row.GetProperty("check").GetString() == "certificate").GetProperty("detail").GetString()!;

    private async Task<ProcessResult> DoAsync(params string[] arguments)
    {
        var result = await _cli.RunAsync(arguments);
        Assert.True(result.ExitCode == 0, $"{result}");
        return result;
    }
}
