using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>
/// Several machines on one: network namespaces with a host name and an address each, on one bridge, and a Redis that all reach. What a
/// firewall or a cable does between machines is done here with the system's own means.
/// </summary>
public sealed partial class Machines : IAsyncDisposable
{
    /// <summary>The silo's usual ones: every machine has all ports to itself.</summary>
    public const int GatewayPort = 30000, SiloPort = 11111;

    private static readonly string[] Tools = ["ip", "iptables", "ss", "unshare", "redis-server"];

    private readonly CliSandbox _cli;
    // The name of a network interface has 15 letters at most.
    private readonly string _name = $"p{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(3))}";
    private readonly string _net = string.Create(CultureInfo.InvariantCulture,
        $"10.{RandomNumberGenerator.GetInt32(64, 250)}.{RandomNumberGenerator.GetInt32(1, 250)}");
    private readonly List<RunningProcess> _processes = [];
    private readonly int _count;

    private Machines(CliSandbox cli, int count) => (_cli, _count) = (cli, count);

    /// <summary>This machine, as all others reach it.</summary>
    public string Host => $"{_net}.254";

    /// <summary>Where this machine's Redis is, as all machines reach it.</summary>
    public string Redis => $"{Host}:6379";

    /// <summary>Skips the test where this user may not make machines.</summary>
    public static async Task<Machines> CreateAsync(CliSandbox cli, int count)
    {
        var machines = await CreateWithoutRedisAsync(cli, count);
        await machines.StartRedisAsync("--port", "6379", "--protected-mode", "no");
        return machines;
    }

    /// <inheritdoc cref="CreateAsync(CliSandbox, int)"/>
    public static async Task<Machines> CreateWithoutRedisAsync(CliSandbox cli, int count)
    {
        Assert.SkipWhen(geteuid() != 0, "only root makes network namespaces");
        foreach (var tool in Tools) Assert.SkipUnless(IsOnPath(tool), $"{tool} is not on PATH");
        var machines = new Machines(cli, count);
        try
        {
            await machines.CreateAsync();
            return machines;
        }
        catch
        {
            await machines.DisposeAsync();
            throw;
        }
    }

    public string AddressOf(int machine) => $"{_net}.{machine}";

    public IPEndPoint GatewayOf(int machine) => new(IPAddress.Parse(AddressOf(machine)), GatewayPort);

    /// <summary>Starts a silo on a machine, of the node <c>n1</c>, <c>n2</c>, …, with one rank.</summary>
    /// <param name="options">Instead of those that tell others the machine's address.</param>
    public RunningProcess StartSilo(int machine, params string[] options)
    {
        string[] usual = ["--advertise", AddressOf(machine), "--insecure", "--node", $"n{machine}"];
        var silo = _cli.StartOther("ip", ["netns", "exec", SpaceOf(machine), "unshare", "--uts", "sh", "-c",
            $"echo host{machine} > /proc/sys/kernel/hostname; exec \"$@\"", "sh", CliSandbox.SiloExecutable,
            "--ranks", "1", "--threads", "1", "--ready-file", ReadyFile(machine), "--until-stdin-closes",
            .. options.Contains("--redis") ? (string[])[] : ["--redis", Redis], .. options.Length == 0 ? usual : options]);
        _processes.Add(silo);
        return silo;
    }

    public Task UntilReadyAsync(int machine, RunningProcess silo) => Eventually.Holds(
        () => File.Exists(ReadyFile(machine)) || silo.HasEnded, CliSandbox.Timeout,
        $"the silo of machine {machine} is ready: {silo.Stderr}");

    /// <summary>A firewall between two machines that stops what ranks say to each other.</summary>
    /// <param name="withSilos">And what silos do; otherwise it lets their ports through.</param>
    /// <param name="refuses">It answers in the other's place that nobody listens there; otherwise it drops without a word.</param>
    public async Task CloseAsync(int one, int other, bool withSilos, bool refuses = false)
    {
        string[] ranks = ["-p", "tcp", "-m", "multiport", "!", "--ports", $"{SiloPort},{GatewayPort}"];
        string[] rule = [.. withSilos ? [] : ranks, "-j", refuses ? "REJECT" : "DROP"];
        foreach (var (at, from) in ((int, int)[])[(one, other), (other, one)])
            await InAsync(at, ["iptables", "-A", "INPUT", "-s", AddressOf(from), .. rule]);
    }

    /// <summary>Resets every connection between ranks that a machine has.</summary>
    public Task CutRanksConnectionsAsync(int machine) => InAsync(machine, "ss", "-K", "-t", "state", "established",
        "dst", $"{_net}.0/24", "and", "not", "dst", $"{_net}.254",
        "and", "not", "sport", $"= :{SiloPort}", "and", "not", "dport", $"= :{SiloPort}",
        "and", "not", "sport", $"= :{GatewayPort}", "and", "not", "dport", $"= :{GatewayPort}");

    public async ValueTask DisposeAsync()
    {
        foreach (var process in _processes) await process.DisposeAsync();
        for (var machine = 1; machine <= _count; machine++) await TryAsync("ip", "netns", "del", SpaceOf(machine));
        await TryAsync("ip", "link", "del", _name);
    }

    private async Task CreateAsync()
    {
        await DoAsync("ip", "link", "add", _name, "type", "bridge");
        await DoAsync("ip", "addr", "add", $"{Host}/24", "dev", _name);
        await DoAsync("ip", "link", "set", _name, "up");
        for (var machine = 1; machine <= _count; machine++)
        {
            var (space, cable) = (SpaceOf(machine), $"{_name}{machine}");
            await DoAsync("ip", "netns", "add", space);
            await DoAsync("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space);
            await DoAsync("ip", "link", "set", cable, "master", _name, "up");
            await InAsync(machine, "ip", "addr", "add", $"{AddressOf(machine)}/24", "dev", "eth0");
            await InAsync(machine, "ip", "link", "set", "eth0", "up");
            await InAsync(machine, "ip", "link", "set", "lo", "up");
        }
    }

    /// <param name="options">Its port, and who may come.</param>
    public async Task StartRedisAsync(params string[] options)
    {
        var redis = _cli.StartOther("redis-server", ["--bind", Host, "--save", "", "--appendonly", "no", .. options]);
        _processes.Add(redis);
        await Eventually.Holds(() => redis.Stdout.Contains("Ready to accept"), CliSandbox.Timeout,
            $"Redis is ready: {redis.Stdout}");
    }

    private string SpaceOf(int machine) => $"{_name}-{machine}";

    private string ReadyFile(int machine) => _cli.At($"ready-{machine}");

    private Task InAsync(int machine, params string[] command) => DoAsync(["ip", "netns", "exec", SpaceOf(machine), .. command]);

    private static async Task DoAsync(params string[] command)
    {
        await using var process = RunningProcess.Start(command[0], command[1..]);
        var end = await process.EndAsync(CliSandbox.Timeout);
        Assert.True(end.ExitCode == 0, $"{string.Join(' ', command)}: {end}");
    }

    /// <summary>What is not there need not be removed.</summary>
    private static async Task TryAsync(params string[] command)
    {
        await using var process = RunningProcess.Start(command[0], command[1..]);
        await process.EndAsync(CliSandbox.Timeout);
    }

    private static bool IsOnPath(string tool) =>
        Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(folder => File.Exists(Path.Combine(folder, tool)));

    [LibraryImport("libc")]
    private static partial uint geteuid();
}
