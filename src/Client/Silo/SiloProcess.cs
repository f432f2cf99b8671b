using System.Diagnostics;
using System.Globalization;
using Phi3VCluster.Client.App;
using Phi3VCluster.Spec;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Client.Silo;

/// <param name="Ranks">Null: the silo decides by its machine.</param>
/// <param name="UntilStdinCloses">It ends with this process, however that ends.</param>
internal sealed record SiloOptions(
    int GatewayPort, int SiloPort, int HttpPort, string Node, int? Ranks, string DataFolder,
    string LogFile, bool UntilStdinCloses, string? Redis = null, string? Advertise = null)
{
    /// <summary>Credentials; null: those that the environment has for one that others reach, else none.</summary>
    public TlsFiles? Tls { get; init; }

    /// <summary>Whether others may reach it without TLS.</summary>
    public bool Insecure { get; init; }

    /// <summary>Cores that it may compute with; null: all of the machine's.</summary>
    public int? Threads { get; init; }

    /// <summary>Whether its ranks take GPUs, where there are some.</summary>
    public bool UsesGpus { get; init; } = true;

    /// <summary>Whether others reach it, by option or by environment.</summary>
    public bool IsReached => !UntilStdinCloses && (Advertise ?? Environment.GetEnvironmentVariable("PHI3V_ADVERTISE")) is { Length: > 0 };

    /// <summary>How long it waits for its ranks to leave when it is told to stop; null: as it does by itself.</summary>
    public int? DrainSeconds { get; init; }
}

/// <summary>Starts silo processes.</summary>
internal static class SiloProcess
{
    private static readonly string[] OfRedis = ["PHI3V_REDIS", "PHI3V_REDIS_USER", "PHI3V_REDIS_PASSWORD_FILE", "PHI3V_REDIS_AUTHORITY"];
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromSeconds(30);

    /// <summary>Starts a silo and waits until it answers.</summary>
    /// <param name="what">Its name in messages.</param>
    /// <param name="deadline">Of its start; null for one that has the machine to itself.</param>
    /// <exception cref="CommandFailedException">It ended or was not ready in time; says what its log says.</exception>
    /// <exception cref="InputException">It refused its options.</exception>
    public static Task<Process> StartAsync(
        SiloOptions options, CancellationToken interrupted, string what = "the silo", TimeSpan? deadline = null)
    {
        var readyFile = Path.Combine(options.DataFolder, $"ready-{Environment.ProcessId}-{options.Node}.json");
        // The silo reads variables for options that are not given: a silo of one command must not join the cluster they speak of.
        string[] without =
        [
            .. options.UntilStdinCloses ? (string[])[.. OfRedis, "PHI3V_ADVERTISE"] : [],
            .. options.IsReached ? (string[])[] : [.. TlsFiles.Variables, .. UpState.OfPage], // the CLI's own, for clusters elsewhere
        ];
        return new BackgroundProgram(what, Executable.Silo.Find(), [.. Arguments(options, readyFile)], readyFile, options.LogFile,
            options.UntilStdinCloses, deadline ?? ReadyDeadline, without).StartAsync(interrupted);
    }

    private static IEnumerable<string> Arguments(SiloOptions o, string readyFile)
    {
        IEnumerable<string> arguments =
        [
            "--gateway-port", Text(o.GatewayPort), "--silo-port", Text(o.SiloPort), "--http-port", Text(o.HttpPort),
            "--node", o.Node, "--data", o.DataFolder, "--ready-file", readyFile,
        ];
        if (o.Ranks is { } ranks) arguments = arguments.Concat(["--ranks", Text(ranks)]);
        if (!o.UsesGpus) arguments = arguments.Concat(["--device", "cpu"]);
        if (o.Threads is { } threads) arguments = arguments.Concat(["--threads", Text(threads)]);
        if (o.DrainSeconds is { } drain) arguments = arguments.Concat(["--drain-seconds", Text(drain)]);
        if (o.Redis is { } redis) arguments = arguments.Concat(["--redis", redis]);
        if (o.Advertise is { } advertise) arguments = arguments.Concat(["--advertise", advertise]);
        if (o.Tls is { } tls) arguments = arguments.Concat(tls.AsOptions());
        if (o.Insecure) arguments = arguments.Append("--insecure");
        return o.UntilStdinCloses ? arguments.Append("--until-stdin-closes") : arguments;

        static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
    }
}
