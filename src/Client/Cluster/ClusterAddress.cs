using System.CommandLine;
using System.Net;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Cluster;

/// <summary>Where a cluster's gateway listens.</summary>
internal sealed record ClusterAddress(string Host, int Port)
{
    public const string Variable = "PHI3V_CLUSTER";

    /// <summary>Said in an address's place: a silo for this command alone, whatever is up.</summary>
    public const string Local = "local";

    /// <summary>Whether its processes see this machine's files under the same paths.</summary>
    public bool IsThisMachine => Host == "localhost" || (IPAddress.TryParse(Host, out var ip) && IPAddress.IsLoopback(ip));

    public static Option<string?> Option() => new("--cluster")
    {
        Description = $"The cluster's gateway; else ${Variable}, else the one that `phi3v up` started. "
            + $"{Local}: a silo for this command alone, where that can be.",
        HelpName = $"host:port|{Local}",
    };

    /// <summary>The cluster that was configured, if any: by option, by environment, or by <c>phi3v up</c>.</summary>
    public static ClusterAddress? Find(string? option)
    {
        if (option is not null) return option == Local ? null : Parse(option, "--cluster");
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } variable)
            return variable == Local ? null : Parse(variable, Variable);
        return UpState.Running() is { } up ? new("127.0.0.1", up.GatewayPort) : null;
    }

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

    public override string ToString() => Host.Contains(':') ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
