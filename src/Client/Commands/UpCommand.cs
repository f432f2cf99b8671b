using System.CommandLine;
using System.Net;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Supervision;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Client.Commands;

internal sealed class UpCommand : Verb
{
    private const int FewestRanks = 2; // what the quickstart asks for
    private const int MostSilos = 64;
    private const long SiloBytes = 100_000_000; // about, before it has any rank

    private readonly Option<int> _silos = new("--silos")
    {
        Description = "Nodes on this machine, n1, n2, …, as one cluster; one that dies is started again. Each takes the next ports.",
        HelpName = "N",
        DefaultValueFactory = _ => 1,
    };
    private readonly Option<int?> _ranks = new("--ranks")
    {
        Description = "Most ranks at a time, of each silo. Default: one per core, 2 at least; several silos share the cores.",
        HelpName = "N",
    };
    private readonly PortOptions _ports = new();
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
    private readonly Option<string?> _node = new("--node")
    {
        Description = "Name of this node, unique in the cluster. Default: this machine's name.",
        HelpName = "NAME",
    };

    private readonly Option<string?> _tlsCertificate = new("--tls-certificate")
    {
        Description = $"Certificate that shows others that this is a silo; with --advertise, default ${TlsFiles.Variables[0]}.",
        HelpName = "FILE",
    };
    private readonly Option<string?> _tlsKey = new("--tls-key")
    {
        Description = $"The certificate's private key; with --advertise, default ${TlsFiles.Variables[1]}.",
        HelpName = "FILE",
    };
    private readonly Option<string?> _tlsAuthority = new("--tls-authority")
    {
        Description = $"The authority that certifies all silos and clients; with --advertise, default ${TlsFiles.Variables[2]}.",
        HelpName = "FILE",
    };
    private readonly Option<bool> _insecure = new("--insecure")
    {
        Description = "With --advertise: start without TLS; whoever reaches the ports does as he likes.",
    };

    public UpCommand() : base("up", "Start a cluster on this machine, to stay.", "phi3v up --silos 3 --ranks 2")
    {
        foreach (var option in (Option[])[_silos, _ranks, .. _ports.All, _redis, _advertise, _node]) Options.Add(option);
        foreach (var option in (Option[])[_tlsCertificate, _tlsKey, _tlsAuthority, _insecure]) Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        if (UpState.Running() is { } already)
            throw new InputException($"up: a cluster is up already, got process {already.ProcessId} at 127.0.0.1:{already.GatewayPort}; " +
                "use it, or stop it with `phi3v down`.");
        var silos = parsed.GetValue(_silos);
        var ranks = parsed.GetValue(_ranks) ?? (silos > 1
            ? Math.Max(1, Environment.ProcessorCount / silos) : Math.Max(FewestRanks, Environment.ProcessorCount));
        if (Problems(parsed, silos, ranks).ToList() is { Count: > 0 } problems) throw new InputException(problems);
        if (parsed.GetValue(_redis) is not null && parsed.GetValue(_advertise) is null
            && Environment.GetEnvironmentVariable("PHI3V_ADVERTISE") is null)
            output.Error("warning: --redis without --advertise: nodes of other machines cannot reach this one; docs/cluster.md.");

        UpState.MakeHome();
        var (gatewayPort, siloPort, httpPort) = _ports.Of(parsed);
        var plan = new ClusterPlan(silos, ranks, gatewayPort, siloPort, httpPort);
        try
        {
            if (silos == 1) await StartOneAsync(parsed, plan, output, interrupted);
            else await StartSeveralAsync(plan, output, interrupted);
        }
        catch (InputException refused) when (refused.Problems.Any(p => p.StartsWith("--data:", StringComparison.Ordinal)))
        {
            // The data folder is our own choice: who is told that it is in use has not named it.
            throw new InputException($"up: another `phi3v up` uses {UpState.Home} at this moment, got {refused.Problems[0]} "
                + "Use that cluster, or set PHI3V_HOME to another folder.");
        }
        return ExitCode.Done;
    }

    private async Task StartOneAsync(ParseResult parsed, ClusterPlan plan, Output output, CancellationToken interrupted)
    {
        var options = new SiloOptions(plan.GatewayPort, plan.SiloPort, plan.HttpPort,
            parsed.GetValue(_node) ?? Environment.MachineName, plan.Ranks,
            Path.Combine(UpState.Home, "data"), ClusterPlan.LogOf("silo"), UntilStdinCloses: false,
            parsed.GetValue(_redis), parsed.GetValue(_advertise))
        {
            Tls = Tls(parsed, out _),
            Insecure = parsed.GetValue(_insecure),
        };
        using var silo = await SiloProcess.StartAsync(options, interrupted);
        var state = new UpState(
            silo.Id, options.GatewayPort, options.SiloPort, options.HttpPort, options.Node, plan.Ranks, DateTimeOffset.UtcNow)
        {
            HasTls = options.Tls is not null || (options.IsReached && TlsFiles.FromEnvironment() is not null),
            PageHasTls = options.IsReached && Environment.GetEnvironmentVariable(UpState.OfPage[0]) is { Length: > 0 },
            Silos = [new(options.Node, silo.Id, options.GatewayPort, options.SiloPort, options.HttpPort)],
        };
        state.Save();
        Tell(output, state, options.DataFolder, options.LogFile,
            $"up: {Words.Ranks(plan.Ranks)} on 127.0.0.1:{state.GatewayPort} (process {state.ProcessId}, log {options.LogFile})");
    }

    private static async Task StartSeveralAsync(ClusterPlan plan, Output output, CancellationToken interrupted)
    {
        using var supervisor = await SupervisorProcess.StartAsync(plan, interrupted);
        var state = UpState.Running() ?? throw new CommandFailedException(
            $"the silos ended as soon as they were up; {SupervisorProcess.LogFile} ends with:\n"
            + BackgroundProgram.Tail(SupervisorProcess.LogFile));
        Tell(output, state, StoreProcess.DataFolder, SupervisorProcess.LogFile,
            $"up: {plan.Silos} silos of {Words.Ranks(plan.Ranks)} on 127.0.0.1:{string.Join(", ", state.Gateways)} "
            + $"(supervisor {state.ProcessId}, logs {ClusterPlan.LogOf("*")})");
    }

    private static void Tell(Output output, UpState state, string data, string log, string sentence)
    {
        if (Contexts.Read().InUse is { } context)
            Output.Note($"phi3v: note: context {context.Name} is in use, and verbs ask {context.Cluster}; "
                + $"`phi3v context use {Contexts.None}` lets them ask what is up here.");
        TellOf(output, state, data, log, sentence);
    }

    private static void TellOf(Output output, UpState state, string data, string log, string sentence) => output.Result(
        new
        {
            state.ProcessId,
            state.GatewayPort,
            state.SiloPort,
            state.HttpPort,
            Page = PageAddress.Of(state.HttpPort, hasTls: state.PageHasTls),
            state.Node,
            state.Ranks,
            state.Started,
            state.Silos,
            state.Store,
            Data = data,
            Log = log,
        },
        _ => output.Line($"{sentence}\npage: {PageAddress.Of(state.HttpPort, hasTls: state.PageHasTls)}\n"
            + $"metrics: {PageAddress.Of(state.HttpPort, hasTls: state.PageHasTls)}metrics\nstop it: phi3v down"));

    private TlsFiles? Tls(ParseResult parsed, out string? problem) => TlsFiles.Of(TlsFiles.Options,
        [.. ((Option<string?>[])[_tlsCertificate, _tlsKey, _tlsAuthority])
            .Select(option => parsed.GetValue(option) is { Length: > 0 } path ? UserPath.Absolute(path) : null)], out problem);

    private IEnumerable<string> Problems(ParseResult parsed, int silos, int ranks)
    {
        if (silos is < 1 or > MostSilos)
        {
            yield return $"--silos: must be 1 to {MostSilos}, got {silos}; choose another number.";
            yield break; // of how many ports?
        }
        if (silos > 1 && silos * SiloBytes > MachineMemory.Bytes)
            yield return $"--silos: take about {MachineFit.Gigabytes(silos * SiloBytes)} before any rank computes, got {silos} and a "
                + $"machine with {MachineFit.Gigabytes(MachineMemory.Bytes)}; lower it.";
        foreach (var problem in _ports.Problems(parsed, silos)) yield return problem;
        if (ranks < 1) yield return $"--ranks: must be at least 1, got {ranks}; raise it.";
        if (Tls(parsed, out var missing) is var tls && missing is not null) yield return missing;
        var (node, advertise) = (parsed.GetValue(_node), parsed.GetValue(_advertise));
        if (silos > 1)
        {
            if (parsed.GetValue(_redis) is { } redis)
                yield return $"--redis: several silos of one `up` share a store of their own, got {redis} and --silos {silos}; "
                    + "leave --redis out, or start each silo by itself with a PHI3V_HOME, ports and --node of its own (docs/cluster.md).";
            if (advertise is not null)
                yield return $"--advertise: several silos of one `up` are reached from this machine only, got {advertise} and "
                    + $"--silos {silos}; leave it out, or use a Redis and `up` on each machine (docs/cluster.md).";
            if (tls is not null)
                yield return $"{TlsFiles.Options[0]}: several silos of one `up` are reached from this machine only, got "
                    + $"{tls.Certificate} and --silos {silos}; leave it out.";
            if (node is not null)
                yield return $"--node: several silos of one `up` are n1 to n{silos}, got {node} and --silos {silos}; leave it out.";
            yield break;
        }
        if (node is not null && (node.Length == 0 || node.Any(c => c is '@' or '/' || char.IsWhiteSpace(c))))
            yield return $"--node: must be a name without '@', '/' and spaces, got '{node}'; choose another.";
        if (advertise is not null && !IPAddress.TryParse(advertise, out _))
            yield return $"--advertise: must be an IP address, got '{advertise}'; give this machine's.";
    }
}
