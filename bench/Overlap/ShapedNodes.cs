using System.Diagnostics;
using System.Globalization;

namespace Phi3VCluster.Bench.Overlap;

/// <summary>Network namespaces on a bridge, each with an address and a link that sends no faster than told. Needs root.</summary>
internal sealed class ShapedNodes : IDisposable
{
    // Of a token bucket: what may be sent at once, and how long the rest may wait.
    private const string Burst = "64kb", Latency = "100ms";

    // The name of a network interface has 15 letters at most.
    private readonly string _name = string.Create(CultureInfo.InvariantCulture, $"o{Environment.ProcessId % 100_000}");
    private readonly int _count;

    /// <exception cref="InvalidOperationException">This machine or this user cannot; what was refused.</exception>
    public ShapedNodes(int count, int megabitsPerSecond)
    {
        _count = count;
        try
        {
            Do("ip", "link", "add", _name, "type", "bridge");
            Do("ip", "link", "set", _name, "up");
            for (var node = 0; node < count; node++)
            {
                var cable = $"{_name}-{node}";
                Do("ip", "netns", "add", SpaceOf(node));
                Do("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", SpaceOf(node));
                Do("ip", "link", "set", cable, "master", _name, "up");
                Do(Inside(node, "ip", "addr", "add", $"{AddressOf(node)}/24", "dev", "eth0"));
                Do(Inside(node, "ip", "link", "set", "eth0", "up"));
                Do(Inside(node, "ip", "link", "set", "lo", "up"));
                Do(Inside(node, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate",
                    string.Create(CultureInfo.InvariantCulture, $"{megabitsPerSecond}mbit"), "burst", Burst, "latency", Latency));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public string AddressOf(int node) => string.Create(CultureInfo.InvariantCulture, $"10.251.{Environment.ProcessId % 250}.{node + 1}");

    /// <summary>A command line that runs another one on a node.</summary>
    public string[] Inside(int node, params string[] command) => ["ip", "netns", "exec", SpaceOf(node), .. command];

    public void Dispose()
    {
        for (var node = 0; node < _count; node++) Try("ip", "netns", "del", SpaceOf(node));
        Try("ip", "link", "del", _name);
    }

    private string SpaceOf(int node) => $"{_name}-{node}";

    private static void Do(params string[] command)
    {
        if (Try(command) is { } refused) throw new InvalidOperationException($"{string.Join(' ', command)}: {refused.Trim()}");
    }

    /// <returns>Null if it was done.</returns>
    private static string? Try(params string[] command)
    {
        using var process = Process.Start(new ProcessStartInfo(command[0], command[1..])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        })!;
        var said = process.StandardError.ReadToEnd() + process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? null : said;
    }
}
