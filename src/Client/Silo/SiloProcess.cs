using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Phi3VCluster.Client.App;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Silo;

/// <param name="Ranks">Null: the silo decides by its machine.</param>
/// <param name="UntilStdinCloses">It ends with this process, however that ends.</param>
internal sealed record SiloOptions(
    int GatewayPort, int SiloPort, int HttpPort, string Node, int? Ranks, string DataFolder,
    string LogFile, bool UntilStdinCloses, string? Redis = null, string? Advertise = null);

/// <summary>Starts and ends silo processes.</summary>
internal static partial class SiloProcess
{
    private const int Terminate = 15, KillNow = 9;

    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);
    private static readonly JsonSerializerOptions SnakeCase = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private sealed record ReadyFile(int ProcessId);

    /// <summary>Starts a silo and waits until it answers.</summary>
    /// <exception cref="CommandFailedException">It ended or was not ready in time; says what its log says.</exception>
    /// <exception cref="InputException">It refused its options.</exception>
    public static async Task<Process> StartAsync(SiloOptions options, CancellationToken interrupted)
    {
        TemporaryFolder.Check();
        Directory.CreateDirectory(options.DataFolder);
        Directory.CreateDirectory(Path.GetDirectoryName(options.LogFile)!);
        var readyFile = Path.Combine(options.DataFolder, $"ready-{Environment.ProcessId}.json");
        File.Delete(readyFile);
        var logged = File.Exists(options.LogFile) ? new FileInfo(options.LogFile).Length : 0; // what an earlier silo said stays
        var silo = Process.Start(Launch(options, readyFile))!;
        try
        {
            await WaitReadyAsync(silo, readyFile, options.LogFile, logged, interrupted);
            return silo;
        }
        catch
        {
            silo.Kill(entireProcessTree: true);
            throw;
        }
        finally
        {
            File.Delete(readyFile);
        }
    }

    /// <summary>Whether the process is still the silo of that gateway, and not another one that got its number.</summary>
    public static bool IsAlive(int processId, int gatewayPort)
    {
        try
        {
            return File.ReadAllText($"/proc/{processId}/cmdline").Contains($"--gateway-port\0{gatewayPort}\0", StringComparison.Ordinal);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Asks a silo of an earlier command to end, and ends it when it does not.</summary>
    public static async Task StopAsync(int processId, int gatewayPort, TimeSpan patience)
    {
        kill(processId, Terminate);
        var since = Stopwatch.StartNew();
        while (IsAlive(processId, gatewayPort))
        {
            if (since.Elapsed > patience) kill(processId, KillNow);
            await Task.Delay(Poll);
        }
    }

    /// <summary>The last lines of a silo's log, for a message.</summary>
    public static string Tail(string logFile, int lines = 12)
    {
        try
        {
            return string.Join(Environment.NewLine, File.ReadLines(logFile).TakeLast(lines));
        }
        catch (IOException)
        {
            return "(no log)";
        }
    }

    /// <summary>Shows the silo's apphost our runtime: alone it looks in the system's places only.</summary>
    public static ProcessStartInfo WithRuntime(ProcessStartInfo start)
    {
        start.Environment.TryAdd("DOTNET_ROOT", Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../..")));
        return start;
    }

    // setsid: Ctrl-C in the terminal goes to every process of the foreground group, and the silo must not end before the run is
    // cancelled, or at all. Both exec, so the process started here is the silo.
    private static ProcessStartInfo Launch(SiloOptions options, string readyFile)
    {
        var script = $"exec setsid \"$0\" \"$@\" >>\"$PHI3V_SILO_LOG\" 2>&1{(options.UntilStdinCloses ? "" : " </dev/null")}";
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardInput = options.UntilStdinCloses };
        foreach (var argument in (string[])["-c", script, SiloExecutable.Find(), .. Arguments(options, readyFile)])
            start.ArgumentList.Add(argument);
        start.Environment["PHI3V_SILO_LOG"] = options.LogFile;
        // The silo reads variables for options that are not given: a silo of one command must not join the cluster they speak of.
        foreach (var shared in options.UntilStdinCloses ? (string[])["PHI3V_REDIS", "PHI3V_ADVERTISE"] : [])
            start.Environment.Remove(shared);
        return WithRuntime(start);
    }

    private static IEnumerable<string> Arguments(SiloOptions o, string readyFile)
    {
        IEnumerable<string> arguments =
        [
            "--gateway-port", Text(o.GatewayPort), "--silo-port", Text(o.SiloPort), "--http-port", Text(o.HttpPort),
            "--node", o.Node, "--data", o.DataFolder, "--ready-file", readyFile,
        ];
        if (o.Ranks is { } ranks) arguments = arguments.Concat(["--ranks", Text(ranks)]);
        if (o.Redis is { } redis) arguments = arguments.Concat(["--redis", redis]);
        if (o.Advertise is { } advertise) arguments = arguments.Concat(["--advertise", advertise]);
        return o.UntilStdinCloses ? arguments.Append("--until-stdin-closes") : arguments;

        static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
    }

    private static async Task WaitReadyAsync(Process silo, string readyFile, string logFile, long logged, CancellationToken interrupted)
    {
        var since = Stopwatch.StartNew();
        while (!IsReady(readyFile))
        {
            if (silo.HasExited && silo.ExitCode == ExitCode.BadInput && Problems(logFile, logged) is { Length: > 0 } problems)
                throw new InputException(problems);
            if (silo.HasExited)
                throw new CommandFailedException(
                    $"the silo ended at its start (exit code {silo.ExitCode}); {logFile} ends with:\n{Tail(logFile)}");
            if (since.Elapsed > ReadyDeadline)
                throw new CommandFailedException(
                    $"the silo was not ready in {ReadyDeadline.TotalSeconds} s; {logFile} ends with:\n{Tail(logFile)}");
            await Task.Delay(Poll, interrupted);
        }
    }

    // A silo that refuses its options has said why, a line each, and nothing else: the user gave them to us.
    private static string[] Problems(string logFile, long logged)
    {
        using var log = new StreamReader(logFile);
        log.BaseStream.Seek(logged, SeekOrigin.Begin);
        return log.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    private static bool IsReady(string readyFile)
    {
        try
        {
            return JsonSerializer.Deserialize<ReadyFile>(File.ReadAllText(readyFile), SnakeCase) is { ProcessId: > 0 };
        }
        catch (Exception error) when (error is IOException or JsonException) // not there yet, or half written
        {
            return false;
        }
    }

    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);
}
