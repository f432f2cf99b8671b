using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Phi3VCluster.Tls;
using StackExchange.Redis;

namespace Phi3VCluster.Grains.Tests.Processes;

/// <summary>A real Redis, if this machine has one.</summary>
internal sealed class RedisProcess : IAsyncDisposable
{
    private readonly Process _process;

    private readonly string _login; // as StackExchange.Redis writes it behind an address

    private RedisProcess(Process process, string address, string login) => (_process, Address, _login) = (process, address, login);

    public string Address { get; }

    /// <summary>Where it speaks TLS, if it does.</summary>
    public string TlsAddress { get; private set; } = "";

    public static Task<RedisProcess> StartAsync(string folder) => StartAsync(folder, login: "");

    /// <summary>One that asks for certificates of its clients at its second port, as Redis usually does, and for a password.</summary>
    public static async Task<RedisProcess> StartWithTlsAsync(string folder, TlsFiles own, string defaultPassword, params string[] users)
    {
        var port = FreePort();
        var redis = await StartWithUsersAsync(folder, defaultPassword, users, "--tls-port", $"{port}",
            "--tls-cert-file", own.Certificate, "--tls-key-file", own.Key, "--tls-ca-cert-file", own.Authority);
        redis.TlsAddress = $"127.0.0.1:{port},ssl=true";
        return redis;
    }

    /// <param name="users">Lines of an access list, the default user's among them.</param>
    /// <param name="defaultPassword">The default user's, who may do everything.</param>
    public static Task<RedisProcess> StartWithUsersAsync(string folder, string defaultPassword, params string[] users) =>
        StartWithUsersAsync(folder, defaultPassword, users, []);

    private static async Task<RedisProcess> StartWithUsersAsync(
        string folder, string defaultPassword, string[] users, params string[] options)
    {
        var file = Path.Combine(folder, "users.acl");
        await File.WriteAllLinesAsync(file, [$"user default on >{defaultPassword} ~* &* +@all", .. users]);
        return await StartAsync(folder, $",password={defaultPassword}", ["--aclfile", file, .. options]);
    }

    private static async Task<RedisProcess> StartAsync(string folder, string login, params string[] options)
    {
        var path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
            .Select(p => Path.Combine(p, "redis-server"))
            .FirstOrDefault(File.Exists);
        Assert.SkipWhen(path is null, "redis-server is not installed");
        var port = FreePort();
        var process = Process.Start(new ProcessStartInfo(path!,
            ["--port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--daemonize", "no", .. options])
        {
            RedirectStandardOutput = true,
        })!;
        _ = process.StandardOutput.ReadToEndAsync(); // else it would block on a full pipe
        var redis = new RedisProcess(process, $"127.0.0.1:{port}", login);
        await Eventually.SeeAsync("Redis answers", redis.AnswersAsync, answers => answers);
        return redis;
    }

    public async Task<IReadOnlyList<string>> KeysAsync()
    {
        await using var connection = await ConnectionMultiplexer.ConnectAsync(Address + _login);
        return [.. connection.GetServer(Address).Keys().Select(k => k.ToString())];
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private async Task<bool> AnswersAsync()
    {
        try
        {
            _ = await KeysAsync();
            return true;
        }
        catch (RedisConnectionException)
        {
            return false;
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
