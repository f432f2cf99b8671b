using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using System.Net;
using Phi3VCluster.Spec;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Silo;

/// <summary>
/// The silo's options. Each can be given as an environment variable too: --gateway-port is PHI3V_GATEWAY_PORT; the command line wins.
/// Exit codes: 0 stopped as asked, 1 it broke or a check failed, 2 the input is wrong.
/// </summary>
internal static class SiloCommandLine
{
    private const string AnyDevice = "auto", CpuOnly = "cpu";

    private static readonly Option<int> GatewayPort = Port("--gateway-port", 30000, "Port that clients connect to; 0 takes any free one.");
    private static readonly Option<int> SiloPort = Port("--silo-port", 11111, "Port that other silos connect to; 0 takes any free one.");
    private static readonly Option<int> HttpPort =
        Port("--http-port", 8080, "Port of the page and its API, /health and /metrics; 0 takes any free one.");

    private static readonly Option<string> Node = new("--node")
    {
        Description = "Name of this node, unique in the cluster.",
        HelpName = "name",
        DefaultValueFactory = _ => Environment.MachineName,
    };

    private static readonly Option<SiloRole> Role = new("--role")
    {
        Description = "What it is for: ranks (no coordinators), control (coordinators, no ranks), or all.",
        DefaultValueFactory = _ => SiloRole.All,
    };

    private static readonly Option<int> Ranks = new("--ranks")
    {
        Description = "Most ranks that run here at a time. Default: the cores, or the GPUs where there are some; 0 with --role control.",
        HelpName = "count",
        DefaultValueFactory = _ => Environment.ProcessorCount,
    };

    private static readonly Option<string> Device = new("--device")
    {
        Description = "auto: a rank for each GPU, where there are some. cpu: leave GPUs alone.",
        HelpName = "auto|cpu",
        DefaultValueFactory = _ => AnyDevice,
    };

    private static readonly Option<int> MinGpus = new("--min-gpus")
    {
        Description = "Refuse to start with fewer: a node whose driver is broken would offer its cores as ranks.",
        HelpName = "count",
        DefaultValueFactory = _ => 0,
    };

    private static readonly Option<string> Data = new("--data")
    {
        Description = "Folder that keeps the state of runs; not used with --redis.",
        HelpName = "folder",
        DefaultValueFactory = _ => Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".phi3v", "silo"),
    };

    private static readonly Option<string?> Redis = new("--redis")
    {
        Description = "Redis that the silos of a cluster share; without it this silo is a cluster of its own.",
        HelpName = "host:port",
    };

    private static readonly Option<string?> RedisUser = new("--redis-user")
    {
        Description = "Name in the Redis's access list; without it, the default user.",
        HelpName = "name",
    };

    private static readonly Option<string?> RedisPasswordFile = new("--redis-password-file")
    {
        Description = "File that holds the Redis's password.",
        HelpName = "path",
    };

    private static readonly Option<string?> RedisAuthority = new("--redis-authority")
    {
        Description = "Authority of the certificate of a Redis with TLS (--redis host:port,ssl=true), PEM; without it, the system's.",
        HelpName = "path",
    };

    private static readonly Option<string?> HttpCertificate = new("--http-certificate")
    {
        Description = "Certificate of the page, its API, /health and /metrics, PEM, with those between it and its authority; with it, they "
            + "are HTTPS.",
        HelpName = "path",
    };

    private static readonly Option<string?> HttpKey = new("--http-key")
    {
        Description = "That certificate's private key, PEM.",
        HelpName = "path",
    };

    private static readonly Option<string?> HttpTokenFile = new("--http-token-file")
    {
        Description = "File of the bearer token that the HTTP API asks for. Without one, callers of this machine may do everything.",
        HelpName = "path",
    };

    private static readonly Option<string?> HttpReadTokenFile = new("--http-read-token-file")
    {
        Description = "File of another token, whose bearer may look and change nothing.",
        HelpName = "path",
    };

    private static readonly Option<string?> Advertise = new("--advertise")
    {
        Description = "IP address that clients and other silos reach this one at; without it, only this machine does.",
        HelpName = "ip",
    };

    private static readonly Option<string?> TlsCertificate = new("--tls-certificate")
    {
        Description = "Certificate that shows others that this is a silo, PEM; with it, connections of silos and clients are TLS.",
        HelpName = "path",
    };

    private static readonly Option<string?> TlsKey = new("--tls-key")
    {
        Description = "The certificate's private key, PEM.",
        HelpName = "path",
    };

    private static readonly Option<string?> TlsAuthority = new("--tls-authority")
    {
        Description = "The authority that certifies all silos and clients, PEM; no other is believed.",
        HelpName = "path",
    };

    private static readonly Option<bool> Insecure = new("--insecure")
    {
        Description = "With --advertise: start without TLS; whoever reaches the ports does as he likes.",
    };

    private static readonly Option<bool> UntilStdinCloses = new("--until-stdin-closes") { Description = "Stop when standard input ends." };

    private static readonly Option<string?> ReadyFile = new("--ready-file")
    {
        Description = "File to write once the silo takes calls: JSON of process_id, gateway_port, silo_port, http_port, node.",
        HelpName = "path",
    };

    private static readonly Option<int> Threads = new("--threads")
    {
        Description = "Threads that its ranks compute with on the CPU, all together.",
        HelpName = "count",
        DefaultValueFactory = _ => Environment.ProcessorCount,
    };

    private static readonly Option<int> DrainSeconds = new("--drain-seconds")
    {
        Description = "When told to stop (SIGTERM), wait so long for ranks to leave at a step's end, if another node can go on.",
        HelpName = "seconds",
        DefaultValueFactory = _ => 25,
    };

    private static readonly Option<string?> ScheduledEvents = new("--scheduled-events")
    {
        Description = "Ask Azure's metadata service there, http://169.254.169.254, whether this machine is to be taken away; then its runs "
            + "leave it.",
        HelpName = "url",
    };

    private static readonly Option<LogLevel> Level = new("--log-level")
    {
        Description = "Least level of what is logged to standard error.",
        DefaultValueFactory = _ => LogLevel.Warning,
    };

    private static readonly Option<bool> Check = new("--check")
    {
        Description = "Check this machine, print rows of JSON and exit; starts no silo.",
    };

    private static readonly Option<bool> Ask = new("--probe")
    {
        Description = "Ask the silo at --http-port of this machine whether it is ready, and exit with 0 or 1; starts no silo.",
    };

    public static async Task<int> RunAsync(string[] args)
    {
        var root = new RootCommand("phi3v-silo: a node of a Phi3VCluster.")
        {
            GatewayPort, SiloPort, HttpPort, Node, Role, Ranks, Device, MinGpus, Data, Redis, RedisUser, RedisPasswordFile, RedisAuthority,
            Advertise, TlsCertificate, TlsKey, TlsAuthority, Insecure, HttpCertificate, HttpKey, HttpTokenFile, HttpReadTokenFile,
            UntilStdinCloses, ReadyFile, Threads, DrainSeconds, ScheduledEvents, Level, Check, Ask,
        };
        root.SetAction((parsed, _) => RunAsync(parsed));
        var result = root.Parse([.. FromEnvironment(root, args), .. args]);
        if (result.Errors.Count == 0 || result.Action is HelpAction)
            return await result.InvokeAsync(new()
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null, // the host ends it: the library would two seconds after the signal, in mid-drain
            });
        foreach (var problem in Problems(result)) await Console.Error.WriteLineAsync(problem);
        return 2;
    }

    private static async Task<int> RunAsync(ParseResult parsed)
    {
        try
        {
            if (parsed.GetValue(Ask)) return await Probe.RunAsync(parsed.GetValue(HttpPort), Http(parsed, out _) is not null, Console.Out);
            return parsed.GetValue(Check) ? MachineReport.Run(Console.Out) : await SiloHost.RunAsync(Settings(parsed));
        }
        catch (InputException e)
        {
            foreach (var problem in e.Problems) await Console.Error.WriteLineAsync(problem);
            return 2;
        }
    }

    private static SiloSettings Settings(ParseResult parsed)
    {
        var problems = Problems(parsed);
        if (problems.Count > 0) throw new InputException(problems);
        var settings = new SiloSettings
        {
            GatewayPort = parsed.GetValue(GatewayPort),
            SiloPort = parsed.GetValue(SiloPort),
            HttpPort = parsed.GetValue(HttpPort),
            Node = parsed.GetValue(Node)!,
            Role = parsed.GetValue(Role),
            Ranks = parsed.GetValue(Role) == SiloRole.Control ? 0 : parsed.GetValue(Ranks),
            UsesGpus = parsed.GetValue(Device) != CpuOnly,
            MinGpus = parsed.GetValue(MinGpus),
            Data = Path.GetFullPath(parsed.GetValue(Data)!),
            Redis = parsed.GetValue(Redis),
            RedisUser = parsed.GetValue(RedisUser),
            RedisPasswordFile = parsed.GetValue(RedisPasswordFile),
            RedisAuthority = parsed.GetValue(RedisAuthority),
            Http = Http(parsed, out _),
            HttpTokenFile = parsed.GetValue(HttpTokenFile),
            HttpReadTokenFile = parsed.GetValue(HttpReadTokenFile),
            Advertise = parsed.GetValue(Advertise) is { } address ? IPAddress.Parse(address) : null,
            Tls = Tls(parsed, out _),
            UntilStdinCloses = parsed.GetValue(UntilStdinCloses),
            ReadyFile = parsed.GetValue(ReadyFile),
            Threads = parsed.GetValue(Threads),
            DrainGrace = TimeSpan.FromSeconds(parsed.GetValue(DrainSeconds)),
            ScheduledEvents = parsed.GetValue(ScheduledEvents) is { } events ? new Uri(events) : null,
            LogLevel = parsed.GetValue(Level),
        };
        return settings;
    }

    /// <summary>All that is wrong: what could not be read, and values that cannot be.</summary>
    private static List<string> Problems(ParseResult parsed)
    {
        var problems = parsed.Errors.Select(Reason).Distinct().ToList();
        var unread = parsed.Errors.Select(error => (error.SymbolResult as OptionResult)?.Option).ToHashSet();
        foreach (var port in (Option<int>[])[GatewayPort, SiloPort, HttpPort])
            if (!unread.Contains(port) && parsed.GetValue(port) is < 0 or > 65535)
                problems.Add($"{port.Name}: must be 0 to 65535, got {parsed.GetValue(port)}; give a free port.");
        var node = parsed.GetValue(Node)!;
        if (node.Length == 0 || node.Any(c => c is '@' or '/' || char.IsWhiteSpace(c)))
            problems.Add($"--node: must be a name without '@', '/' and spaces, got '{node}'; choose another.");
        if (parsed.GetValue(Device) is not (AnyDevice or CpuOnly) and var device)
            problems.Add($"--device: must be {AnyDevice} or {CpuOnly}, got '{device}'; without it, GPUs are used where there are some.");
        problems.AddRange(RoleProblems(parsed, unread));
        if (!unread.Contains(MinGpus) && parsed.GetValue(MinGpus) < 0)
            problems.Add($"--min-gpus: must be at least 0, got {parsed.GetValue(MinGpus)}; leave it out for any number.");
        if (!unread.Contains(MinGpus) && parsed.GetValue(MinGpus) > 0 && parsed.GetValue(Device) == CpuOnly)
            problems.Add($"--min-gpus: a silo that leaves GPUs alone (--device {CpuOnly}) needs none, got {parsed.GetValue(MinGpus)}; "
                + "leave one of the two out.");
        if (!unread.Contains(Threads) && parsed.GetValue(Threads) < 1)
            problems.Add($"--threads: must be at least 1, got {parsed.GetValue(Threads)}; raise it.");
        if (!unread.Contains(DrainSeconds) && parsed.GetValue(DrainSeconds) is < 0 or > 3600)
            problems.Add($"--drain-seconds: must be 0 to 3600, got {parsed.GetValue(DrainSeconds)}; 25 is usual.");
        if (parsed.GetValue(Advertise) is { } address && !IPAddress.TryParse(address, out _))
            problems.Add($"--advertise: must be an IP address, got '{address}'; give this machine's.");
        if (parsed.GetValue(ScheduledEvents) is { } events
            && !(Uri.TryCreate(events, UriKind.Absolute, out var at) && at is { Scheme: "http", AbsolutePath: "/" }))
            problems.Add($"--scheduled-events: must be http:// and a host, got '{events}'; on Azure it is http://169.254.169.254.");
        var tls = Tls(parsed, out var missing);
        if (missing is not null) problems.Add(missing);
        _ = Http(parsed, out var half);
        if (half is not null) problems.Add(half);
        if (parsed.GetValue(Advertise) is { } open && IPAddress.TryParse(open, out var ip) && !IPAddress.IsLoopback(ip)
            && tls is null && missing is null && !parsed.GetValue(Insecure))
            problems.Add($"--advertise: others reach this silo only by TLS, got {open} and no certificate; give "
                + $"{string.Join(", ", TlsFiles.Options)} (docs/security.md), or --insecure on a network that you trust.");
        return problems;
    }

    private static TlsFiles? Tls(ParseResult parsed, out string? problem) => TlsFiles.Of(
        TlsFiles.Options, [parsed.GetValue(TlsCertificate), parsed.GetValue(TlsKey), parsed.GetValue(TlsAuthority)], out problem);

    private static HttpFiles? Http(ParseResult parsed, out string? problem) =>
        HttpFiles.Of(parsed.GetValue(HttpCertificate), parsed.GetValue(HttpKey), out problem);

    private static IEnumerable<string> RoleProblems(ParseResult parsed, HashSet<Option?> unread)
    {
        if (unread.Contains(Role) || unread.Contains(Ranks)) yield break;
        var (role, ranks, given) = (parsed.GetValue(Role), parsed.GetValue(Ranks), parsed.GetResult(Ranks) is { Implicit: false });
        if (role == SiloRole.Control && given && ranks != 0)
            yield return $"--ranks: must be 0 with --role control, got {ranks}; leave it out, or choose --role all.";
        if (role != SiloRole.Control && ranks < 1)
            yield return $"--ranks: must be at least 1, got {ranks}; raise it, or choose --role control.";
        if (role != SiloRole.All && parsed.GetValue(Redis) is null)
            yield return $"--role: must be all for a silo that is a cluster of its own, got {Name(role)}; give --redis, or leave it out.";
        foreach (var option in (Option<string?>[])[RedisUser, RedisPasswordFile, RedisAuthority])
            if (parsed.GetValue(option) is { } value && parsed.GetValue(Redis) is null)
                yield return $"{option.Name}: is for a Redis, got {value} and no --redis; give its address, or leave this out.";
    }

    // The library would name the .NET type.
    private static string Reason(ParseError error) => error.SymbolResult is OptionResult { Tokens: [var token, ..] } result
        ? result.Option == Level ? Unknown<LogLevel>(Level, token)
            : result.Option == Role ? Unknown<SiloRole>(Role, token)
            : result.Option.ValueType == typeof(bool) ? $"{result.Option.Name}: must be true or false, got {token.Value}; write true."
            : $"{result.Option.Name}: must be a whole number, got {token.Value}; write for example 2."
        : error.Message;

    private static string Unknown<T>(Option option, Token token) where T : struct, Enum =>
        $"{option.Name}: unknown, got {token.Value}; {Nearest.Advice(token.Value, [.. Enum.GetValues<T>().Select(Name)])}";

    private static string Name<T>(T value) where T : struct, Enum => value is LogLevel ? $"{value}" : $"{value}".ToLowerInvariant();

    /// <summary>Variables as arguments, so that both are read and refused in the same way.</summary>
    private static IEnumerable<string> FromEnvironment(RootCommand root, string[] args) =>
        from option in root.Options
        let value = Environment.GetEnvironmentVariable($"PHI3V_{option.Name.TrimStart('-').Replace('-', '_').ToUpperInvariant()}")
        where !string.IsNullOrEmpty(value) && !args.Any(a => a == option.Name || a.StartsWith(option.Name + "=", StringComparison.Ordinal))
        select $"{option.Name}={value}";

    private static Option<int> Port(string name, int usual, string description) =>
        new(name) { Description = description, HelpName = "port", DefaultValueFactory = _ => usual };
}
