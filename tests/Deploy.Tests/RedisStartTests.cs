using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using k8s.Models;

namespace Phi3VCluster.Deploy.Tests;

/// <summary>
/// A real Redis, started and asked by the manifests' own scripts and configuration; the pod's paths and port are this test's.
/// </summary>
public sealed class RedisStartTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1), Poll = TimeSpan.FromMilliseconds(50);

    private readonly string _pod = Directory.CreateTempSubdirectory("phi3v-").FullName;
    private readonly int _port = FreePort();
    private Process? _redis;

    public void Dispose()
    {
        _redis?.Kill(entireProcessTree: true);
        _redis?.WaitForExit();
        _redis?.Dispose();
        Directory.Delete(_pod, recursive: true);
    }

    [Fact]
    public async Task With_a_certificate_it_speaks_TLS_alone_and_a_renewed_one_is_a_reason_to_start_anew()
    {
        await MakeCertificatesAsync();
        await StartAsync();

        Assert.Equal(0, await ProbeAsync("alive"));
        Assert.Null(await RefusalAsync($"127.0.0.1:{_port},ssl=true", "--redis-authority", At("run/secrets/tls/ca.crt")));
        Assert.Contains("no Redis answers", await RefusalAsync($"127.0.0.1:{_port}"));

        await File.AppendAllTextAsync(At("run/secrets/tls/tls.crt"), "\n");
        Assert.Equal(0, await ProbeAsync());
        Assert.NotEqual(0, await ProbeAsync("alive"));
    }

    [Fact]
    public async Task Without_a_certificate_it_is_in_the_clear()
    {
        await StartAsync();

        Assert.Equal(0, await ProbeAsync("alive"));
        Assert.Null(await RefusalAsync($"127.0.0.1:{_port}"));
    }

    private string At(string path) => Path.Combine(_pod, path);

    private async Task MakeCertificatesAsync()
    {
        var made = At("made");
        var certs = await Program.RunAsync(Program.Built("Client", "phi3v"), ["certs", "--to", made, "--server", "127.0.0.1"]);
        Assert.True(certs.ExitCode == 0, $"{certs}");
        Directory.CreateDirectory(At("run/secrets/tls"));
        foreach (var (from, to) in new[] { ("127.0.0.1.crt", "tls.crt"), ("127.0.0.1.key", "tls.key"), ("authority.crt", "ca.crt") })
            File.Move(Path.Combine(made, from), At($"run/secrets/tls/{to}"));
    }

    private async Task StartAsync()
    {
        Assert.SkipWhen(Program.Find("redis-server") is null, "redis-server is not installed");
        foreach (var folder in new[] { "run/secrets/redis", "run/redis", "data", "etc/phi3v" }) Directory.CreateDirectory(At(folder));
        await File.WriteAllTextAsync(At("run/secrets/redis/password"), "any");
        var maps = (await Rendered.OverlayAsync("aks-a100")).All<V1ConfigMap>();
        var files = maps.Single(map => map.Data.ContainsKey("redis.conf")).Data;
        foreach (var (name, text) in files)
            await File.WriteAllTextAsync(At($"etc/phi3v/{name}"), text
                .Replace("/run/", At("run/"), StringComparison.Ordinal).Replace("/etc/", At("etc/"), StringComparison.Ordinal)
                .Replace("dir /data", $"dir {At("data")}", StringComparison.Ordinal).Replace("6379", $"{_port}", StringComparison.Ordinal));
        _redis = Process.Start(new ProcessStartInfo("sh", [At("etc/phi3v/start.sh")]) { RedirectStandardOutput = true })!;
        _ = _redis.StandardOutput.ReadToEndAsync();
        for (var since = Stopwatch.StartNew(); await ProbeAsync() != 0; await Task.Delay(Poll))
            Assert.True(since.Elapsed < Patience && !_redis.HasExited, "Redis did not start");
    }

    private async Task<int> ProbeAsync(params string[] question) =>
        (await Program.RunAsync("sh", [At("etc/phi3v/probe.sh"), .. question])).ExitCode;

    /// <returns>Why a silo does not start with it; null where it does.</returns>
    private async Task<string?> RefusalAsync(string redis, params string[] options)
    {
        var ready = At($"ready-{Guid.NewGuid():N}");
        using var silo = Process.Start(new ProcessStartInfo(Program.Built("Silo", "phi3v-silo"),
        [
            "--gateway-port", "0", "--silo-port", "0", "--http-port", "0", "--role", "control", "--until-stdin-closes",
            "--data", At("silo"), "--ready-file", ready, "--redis", redis, "--redis-user", "phi3v",
            "--redis-password-file", At("run/secrets/redis/password"), .. options,
        ])
        { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
        _ = silo.StandardOutput.ReadToEndAsync();
        var errors = silo.StandardError.ReadToEndAsync();
        try
        {
            for (var since = Stopwatch.StartNew(); !File.Exists(ready) && !silo.HasExited; await Task.Delay(Poll))
                Assert.True(since.Elapsed < Patience, "the silo neither started nor ended");
            return File.Exists(ready) ? null : await errors;
        }
        finally
        {
            silo.Kill();
            await silo.WaitForExitAsync();
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
