using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Phi3VCluster.Client.App;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Client.Silo;

/// <summary>A program that runs apart from the terminal, writes to a log, and says by a file that it is ready.</summary>
/// <param name="What">Its name in messages: the silo.</param>
/// <param name="UntilStdinCloses">It ends with this process, however that ends.</param>
/// <param name="Without">Variables that it must not see.</param>
internal sealed record BackgroundProgram(
    string What, string Executable, IReadOnlyList<string> Arguments, string ReadyFile, string LogFile, bool UntilStdinCloses,
    TimeSpan Deadline, IReadOnlyList<string>? Without = null)
{
    private const long LeastRoom = 1 << 20; // below that a program that says nothing most likely could not

    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);
    private static readonly JsonSerializerOptions SnakeCase = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private sealed record Ready(int ProcessId);

    /// <summary>Starts it and waits until it is ready.</summary>
    /// <exception cref="CommandFailedException">It ended or was not ready in time; says what its log says.</exception>
    /// <exception cref="InputException">It refused its options.</exception>
    public async Task<Process> StartAsync(CancellationToken interrupted)
    {
        TemporaryFolder.Check();
        Directory.CreateDirectory(Path.GetDirectoryName(ReadyFile)!);
        Directory.CreateDirectory(Path.GetDirectoryName(LogFile)!);
        File.Delete(ReadyFile);
        var logged = File.Exists(LogFile) ? new FileInfo(LogFile).Length : 0; // what an earlier one said stays
        var process = Process.Start(Launch())!;
        try
        {
            await WaitReadyAsync(process, logged, interrupted);
            return process;
        }
        catch
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
        finally
        {
            File.Delete(ReadyFile);
        }
    }

    /// <summary>The last lines of a log, for a message.</summary>
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

    /// <summary>Shows an apphost our runtime: alone it looks in the system's places only.</summary>
    public static ProcessStartInfo WithRuntime(ProcessStartInfo start)
    {
        start.Environment.TryAdd("DOTNET_ROOT", Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../..")));
        return start;
    }

    // setsid: Ctrl-C in the terminal goes to every process of the foreground group, and a silo must not end before the run is
    // cancelled, or at all. Both exec, so the process started here is the program.
    private ProcessStartInfo Launch()
    {
        var script = $"exec setsid \"$0\" \"$@\" >>\"$PHI3V_LOG\" 2>&1{(UntilStdinCloses ? "" : " </dev/null")}";
        var start = new ProcessStartInfo("/bin/sh", ["-c", script, Executable, .. Arguments]) { RedirectStandardInput = UntilStdinCloses };
        start.Environment["PHI3V_LOG"] = LogFile;
        foreach (var variable in Without ?? []) start.Environment.Remove(variable);
        return WithRuntime(start);
    }

    private async Task WaitReadyAsync(Process process, long logged, CancellationToken interrupted)
    {
        var since = Stopwatch.StartNew();
        while (!IsReady())
        {
            if (process.HasExited && process.ExitCode == ExitCode.BadInput && Problems(logged) is { Length: > 0 } problems)
                throw new InputException(problems);
            if (process.HasExited && Said(logged) is var said && said.StartsWith(Output.Prefix, StringComparison.Ordinal))
                throw new CommandFailedException(said[Output.Prefix.Length..].TrimEnd()); // one of ours, whose words are for people
            if (process.HasExited)
                throw new CommandFailedException($"{What} ended at its start (exit code {process.ExitCode}); {WhyFrom(Said(logged))}");
            if (since.Elapsed > Deadline)
                throw new CommandFailedException(
                    $"{What} was not ready in {Deadline.TotalSeconds} s; {LogFile} ends with:\n{Tail(LogFile)}");
            await Task.Delay(Poll, interrupted);
        }
    }

    private string WhyFrom(string said)
    {
        if (said.Trim().Length > 0) return $"{LogFile} ends with:\n{Tail(LogFile)}";
        var folder = Path.GetDirectoryName(LogFile)!;
        return MachineFit.FreeBytes(folder) < LeastRoom
            ? $"no space is left in {folder}; make room there, or set PHI3V_HOME and TMPDIR to other folders."
            : $"it has said nothing in {LogFile}.";
    }

    // One that refuses its options has said why, a line each, and nothing else: the user gave them to us.
    private string[] Problems(long logged)
    {
        var lines = Said(logged).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return [.. lines.Select(l => l.StartsWith(Output.Prefix, StringComparison.Ordinal) ? l[Output.Prefix.Length..] : l)];
    }

    private string Said(long logged)
    {
        using var log = new StreamReader(LogFile);
        log.BaseStream.Seek(logged, SeekOrigin.Begin);
        return log.ReadToEnd();
    }

    private bool IsReady()
    {
        try
        {
            return JsonSerializer.Deserialize<Ready>(File.ReadAllText(ReadyFile), SnakeCase) is { ProcessId: > 0 };
        }
        catch (Exception error) when (error is IOException or JsonException) // not there yet, or half written
        {
            return false;
        }
    }
}
