using System.CommandLine;
using System.Diagnostics;
using System.Net;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

internal sealed class UpCommand : Verb
{
    private const int FewestRanks = 2; // what the quickstart asks for

    private readonly Option<int?> _ranks = new("--ranks")
    {
        Description = "Most ranks at a time. Default: one per core, 2 at least.",
        HelpName = "N",
    };
    private readonly Option<int> _gatewayPort = Port("--gateway-port", 30000, "What the CLI connects to.");
    private readonly Option<int> _siloPort = Port("--silo-port", 11111, "What other silos connect to.");
    private readonly Option<int> _httpPort = Port("--http-port", 8080, "Metrics and health.");
    private readonly Option<string?> _redis = new("--redis")
    {
        Description = "Share a cluster with other machines through Redis.",
        HelpName = "host:port",
    };
    private readonly Option<string?> _advertise = new("--advertise")
    {
        Description = "This machine's IP address as the others reach it; without it, only this machine does.",
        HelpName = "IP",
    };
    private readonly Option<string> _node = new("--node")
    {
        Description = "Name of this node, unique in the cluster.",
        HelpName = "NAME",
        DefaultValueFactory = _ => Environment.MachineName,
    };

    public UpCommand() : base("up", "Start a cluster on this machine, to stay.", "phi3v up --ranks 2")
    {
        foreach (var option in (Option[])[_ranks, _gatewayPort, _siloPort, _httpPort, _redis, _advertise, _node]) Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        if (UpState.Running() is { } already)
            throw new InputException($"up: a cluster is up already, got process {already.ProcessId} at 127.0.0.1:{already.GatewayPort}; " +
                "use it, or stop it with `phi3v down`.");
        var ports = ((Option<int>[])[_gatewayPort, _siloPort, _httpPort]).Select(o => (o.Name, Port: parsed.GetValue(o))).ToArray();
        var ranks = parsed.GetValue(_ranks) ?? Math.Max(FewestRanks, Environment.ProcessorCount);
        var problems = PortProblems(ports).ToList();
        var node = parsed.GetRequiredValue(_node);
        if (node.Length == 0 || node.Any(c => c is '@' or '/' || char.IsWhiteSpace(c)))
            problems.Add($"--node: must be a name without '@', '/' and spaces, got '{node}'; choose another.");
        var advertise = parsed.GetValue(_advertise);
        if (advertise is not null && !IPAddress.TryParse(advertise, out _))
            problems.Add($"--advertise: must be an IP address, got '{advertise}'; give this machine's.");
        if (parsed.GetValue(_redis) is not null && advertise is null && Environment.GetEnvironmentVariable("PHI3V_ADVERTISE") is null)
            output.Error("warning: --redis without --advertise: nodes of other machines cannot reach this one; docs/cluster.md.");
        if (ranks < 1) problems.Add($"--ranks: must be at least 1, got {ranks}; raise it.");
        if (problems.Count > 0) throw new InputException(problems);

        var options = new SiloOptions(ports[0].Port, ports[1].Port, ports[2].Port, node, ranks,
            Path.Combine(UpState.Home, "data"), Path.Combine(UpState.Home, "silo.log"), UntilStdinCloses: false,
            parsed.GetValue(_redis), advertise);
        UpState.MakeHome();
        using var silo = await StartAsync(options, interrupted);
        var state = new UpState(
            silo.Id, options.GatewayPort, options.SiloPort, options.HttpPort, options.Node, ranks, DateTimeOffset.UtcNow);
        state.Save();
        output.Result(
            new
            {
                state.ProcessId,
                state.GatewayPort,
                state.SiloPort,
                state.HttpPort,
                state.Node,
                state.Ranks,
                state.Started,
                Data = options.DataFolder,
                Log = options.LogFile,
            },
            _ => output.Line(
                $"up: {Words.Ranks(ranks)} on 127.0.0.1:{state.GatewayPort} (process {state.ProcessId}, log {options.LogFile})\n" +
                $"metrics: http://127.0.0.1:{state.HttpPort}/metrics\nstop it: phi3v down"));
        return ExitCode.Done;
    }

    /// <summary>The data folder is our own choice: who is told that it is in use has not named it.</summary>
    private static async Task<Process> StartAsync(SiloOptions options, CancellationToken interrupted)
    {
        try
        {
            return await SiloProcess.StartAsync(options, interrupted);
        }
        catch (InputException refused) when (refused.Problems.Any(p => p.StartsWith("--data:", StringComparison.Ordinal)))
        {
            throw new InputException($"up: another `phi3v up` uses {UpState.Home} at this moment, got {options.DataFolder}; "
                + "use that cluster, or set PHI3V_HOME to another folder.");
        }
    }

    private static IEnumerable<string> PortProblems((string Name, int Port)[] ports)
    {
        foreach (var (name, port) in ports)
        {
            if (port is < 1 or > ushort.MaxValue) yield return $"{name}: must be 1 to {ushort.MaxValue}, got {port}; choose another.";
            else if (ports.First(p => p.Port == port).Name is var first && first != name)
                yield return $"{name}: is {first}'s port too, got {port}; choose another.";
            else if (!Ports.IsFree(port)) yield return $"{name}: the port is in use, got {port}; choose another with {name}.";
        }
    }

    private static Option<int> Port(string name, int value, string what) =>
        new(name) { Description = what, HelpName = "PORT", DefaultValueFactory = _ => value };
}
