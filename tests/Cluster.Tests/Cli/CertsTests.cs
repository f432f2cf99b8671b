using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.Cli;

public sealed class CertsTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task Made_certificates_are_of_one_authority_have_roles_and_keys_that_only_the_owner_reads()
    {
        var made = await _cli.JsonAsync(0, "certs", "--to", "certs", "--silo", "gpu-1", "--client", "alice", "--days", "30");
        Assert.True(made.GetProperty("authority_is_new").GetBoolean());
        var more = await _cli.JsonAsync(0, "certs", "--to", "certs", "--silo", "gpu-2");
        Assert.False(more.GetProperty("authority_is_new").GetBoolean());

        using var authority = X509CertificateLoader.LoadCertificateFromFile(_cli.At("certs/authority.crt"));
        foreach (var (name, uri) in ((string, string)[])[("gpu-1", "phi3v:silo"), ("gpu-2", "phi3v:silo"), ("alice", "phi3v:client")])
        {
            using var one = X509Certificate2.CreateFromPemFile(_cli.At($"certs/{name}.crt"), _cli.At($"certs/{name}.key"));
            using var chain = new X509Chain();
            chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
            chain.ChainPolicy.CustomTrustStore.Add(authority);
            Assert.True(chain.Build(one), name);
            Assert.Equal($"CN={name}", one.Subject);
            Assert.Contains(uri, one.Extensions["2.5.29.17"]!.Format(false));
        }
        foreach (var key in Directory.GetFiles(_cli.At("certs"), "*.key"))
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(key));
        Assert.Equal(["alice.crt", "alice.key", "authority.crt", "authority.key", "gpu-1.crt", "gpu-1.key", "gpu-2.crt", "gpu-2.key"],
            Directory.GetFiles(_cli.At("certs")).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_full_disk_leaves_no_half_of_a_pair_behind()
    {
        using var disk = SmallDisk.Mount(_cli.At("small"), megabytes: 1);
        Directory.CreateDirectory(_cli.At("small/certs"));
        disk.Fill();

        var full = await _cli.RunAsync("certs", "--to", "small/certs", "--silo", "gpu-1");
        Assert.Equal(1, full.ExitCode);
        Assert.StartsWith($"phi3v: --to: {_cli.At("small/certs/authority.key")} and its certificate cannot be written (", full.Stderr);
        Assert.Empty(Directory.GetFiles(_cli.At("small/certs")));

        disk.Free();
        await _cli.JsonAsync(0, "certs", "--to", "small/certs", "--silo", "gpu-1");
    }

    [Fact]
    public async Task Nothing_is_overwritten_and_all_that_is_wrong_is_said_at_once()
    {
        await _cli.JsonAsync(0, "certs", "--to", "certs", "--silo", "n1");
        var before = File.ReadAllText(_cli.At("certs/n1.key"));

        var again = await _cli.RunAsync("certs", "--to", "certs", "--silo", "n1", "--client", "../up", "--days", "0");

        Assert.Equal(2, again.ExitCode);
        Assert.Contains($"--to: a file would be lost, got {_cli.At("certs/n1.crt")}; ", again.Stderr);
        Assert.Contains("--days: must be 1 to 3650, got 0; ", again.Stderr);
        Assert.Contains("got '../up'; ", again.Stderr);
        Assert.Equal(before, File.ReadAllText(_cli.At("certs/n1.key")));

        File.Delete(_cli.At("certs/authority.key"));
        var half = await _cli.RunAsync("certs", "--to", "certs", "--silo", "n2");
        Assert.Equal(2, half.ExitCode);
        Assert.Contains($"an authority is two files, got only {_cli.At("certs/authority.crt")}; ", half.Stderr);
    }

    [Fact]
    public async Task Doctor_looks_at_the_certificate_that_is_set_and_says_what_is_wrong_with_it()
    {
        foreach (var folder in (string[])["certs", "others"])
            await _cli.JsonAsync(0, "certs", "--to", folder, "--client", "alice", "--server", "10.0.0.1", "--days", "30");

        var good = await DoctorAsync("certs/alice.crt", "certs/alice.key", "certs/authority.crt");
        Assert.Equal((true, "CN=alice, of a client, with its key; 30 days left"), good["certificate"]);
        Assert.True(good["certificate's authority"].Ok);

        var other = await DoctorAsync("certs/alice.crt", "certs/alice.key", "others/authority.crt");
        Assert.True(other["certificate"].Ok);
        Assert.False(other["certificate's authority"].Ok);
        Assert.Contains("set the three that belong together", other["certificate's authority"].Detail);

        var mixed = await DoctorAsync("certs/alice.crt", "others/alice.key", "certs/authority.crt");
        Assert.False(mixed["certificate"].Ok);
        Assert.Contains("must be a pair in PEM", mixed["certificate"].Detail);

        var noRole = await DoctorAsync("certs/10.0.0.1.crt", "certs/10.0.0.1.key", "certs/authority.crt");
        Assert.False(noRole["certificate"].Ok);
        Assert.Contains("must be for a client or silo, got one for neither silo nor client", noRole["certificate"].Detail);
    }

    private async Task<Dictionary<string, (bool Ok, string Detail)>> DoctorAsync(string certificate, string key, string authority)
    {
        foreach (var (variable, file) in ((string, string)[])[("CERTIFICATE", certificate), ("KEY", key), ("AUTHORITY", authority)])
            _cli.Set($"PHI3V_TLS_{variable}", _cli.At(file));
        return await RowsAsync("doctor");
    }

    private async Task<Dictionary<string, (bool Ok, string Detail)>> RowsAsync(params string[] arguments)
    {
        var doctor = await _cli.RunAsync([.. arguments, "--json"]); // its exit code is of all rows, ports among them
        using var rows = JsonDocument.Parse(doctor.Stdout);
        return rows.RootElement.EnumerateArray().ToDictionary(row => row.GetProperty("check").GetString()!,
            row => (row.GetProperty("ok").GetBoolean(), row.GetProperty("detail").GetString()!));
    }

    [Fact]
    public async Task A_cluster_with_certificates_answers_who_has_one_and_tells_others_what_is_missing()
    {
        await _cli.JsonAsync(0, "certs", "--to", "certs", "--silo", "n1", "--client", "alice");
        await _cli.JsonAsync(0, "certs", "--to", "other", "--client", "mallory");
        var ports = FreePorts.Take();
        await _cli.JsonAsync(0, ["up", "--ranks", "1", "--node", "n1", .. ports.Options,
            "--tls-certificate", "certs/n1.crt", "--tls-key", "certs/n1.key", "--tls-authority", "certs/authority.crt"]);
        try
        {
            string[] nodes = ["nodes", "--cluster", $"127.0.0.1:{ports.Gateway}"];
            var bare = await _cli.RunAsync(nodes);
            Assert.Equal(3, bare.ExitCode);
            Assert.Contains("(it asks for a certificate); set PHI3V_TLS_CERTIFICATE, ", bare.Stderr);

            Use("other", "mallory");
            var stranger = await _cli.RunAsync(nodes);
            Assert.Equal(3, stranger.ExitCode);
            Assert.Contains("(CN=n1: its certificate is of another authority, ", stranger.Stderr);

            _cli.Set("PHI3V_TLS_AUTHORITY", _cli.At("certs/authority.crt")); // believes the silo, and is not believed
            stranger = await _cli.RunAsync(nodes);
            Assert.Equal(3, stranger.ExitCode);
            Assert.Contains("(it refuses our certificate, CN=mallory; ", stranger.Stderr);
            Assert.Contains("(CN=mallory): its certificate is of another authority", File.ReadAllText(_cli.At("home/silo.log")));

            Use("certs", "alice");
            Assert.Equal("n1", Assert.Single((await _cli.JsonAsync(0, nodes)).EnumerateArray()).GetProperty("node").GetString());
            var rows = await RowsAsync("doctor", "--cluster", $"127.0.0.1:{ports.Gateway}");
            Assert.Equal((true, "n1: 365 days left"), rows["nodes' certificates"]);
        }
        finally
        {
            await _cli.JsonAsync(0, "down", "--force");
        }
    }

    private void Use(string folder, string name)
    {
        _cli.Set("PHI3V_TLS_CERTIFICATE", _cli.At($"{folder}/{name}.crt"));
        _cli.Set("PHI3V_TLS_KEY", _cli.At($"{folder}/{name}.key"));
        _cli.Set("PHI3V_TLS_AUTHORITY", _cli.At($"{folder}/authority.crt"));
    }
}
