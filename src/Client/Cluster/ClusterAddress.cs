using System.CommandLine;
using System.Net;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Spec;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Client.Cluster;

/// <summary>Where a cluster's gateway listens.</summary>
internal sealed record ClusterAddress(string Host, int Port)
{
    public const string Variable = "PHI3V_CLUSTER";

    /// <summary>Said in an address's place: a silo for this command alone, whatever is up.</summary>
    public const string Local = "local";

    /// <summary>Who named it, for messages: a comma and words; empty where the command did, or <c>phi3v up</c>.</summary>
    public string Origin { get; init; } = "";

    /// <summary>What it is shown of who we are, where the environment says nothing; null for nothing.</summary>
    public TlsFiles? Tls { get; init; }

    /// <summary>Whether its processes see this machine's files under the same paths.</summary>
    public bool IsThisMachine => Host == "localhost" || (IPAddress.TryParse(Host, out var ip) && IPAddress.IsLoopback(ip));

    public static Option<string?> Option() => new("--cluster")
    {
        Description = $"The cluster's gateway; else ${Variable}, else the context in use, else the one that `phi3v up` started. "
            + $"{Local}: a silo for this command alone, where that can be.",
        HelpName = $"host:port|{Local}",
    };

    /// <summary>The cluster that was configured, if any: by option, by environment, by the context in use, or by <c>phi3v up</c>.</summary>
    public static ClusterAddress? Find(string? option)
    {
        if (option is not null) return option == Local ? null : WithTls(Parse(option, "--cluster"));
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } variable)
            return variable == Local ? null : WithTls(Parse(variable, Variable) with { Origin = $", of {Variable}" });
        if (Contexts.Read().InUse is { } context) return context.Address;
        return UpState.Running() is { } up ? new("127.0.0.1", up.GatewayPort) : null;
    }

    // However the context's cluster is named, it is shown the same certificate; nobody else is.
    private static ClusterAddress WithTls(ClusterAddress address) =>
        Contexts.Read().InUse is { } context && context.Cluster == address.ToString() ? address with { Tls = context.Tls } : address;

    /// <exception cref="App.NoClusterException">None is configured.</exception>
    /// <param name="instead">What would do without a cluster, as a part of the message; null where nothing does.</param>
    public static ClusterAddress Require(string? option, string? instead = null) => Find(option)
        ?? throw new App.NoClusterException("no cluster is up on this machine and none is configured; "
            + $"{(instead is null ? "" : $"{instead}; or ")}start one with `phi3v up`, or give --cluster host:port."
            + (UpState.LastEnd() is { } end ? $"\nThe one that `phi3v up` started has ended: {end}" : ""));

    public static ClusterAddress Parse(string text, string origin)
    {
        var colon = text.LastIndexOf(':');
        return colon > 0 && int.TryParse(text[(colon + 1)..], out var port) && port is > 0 and <= ushort.MaxValue
            ? new(text[..colon].Trim('[', ']'), port)
            : throw new InputException($"{origin}: must be host:port, got {text}; write for example 127.0.0.1:30000.");
    }

    /// <summary>For messages: the address, and who named it.</summary>
    public string Said => $"{this}{Origin}";

    public override string ToString() => Host.Contains(':') ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
