using System.Diagnostics;
using System.Text.Json;

namespace Phi3VCluster.Bench.Chaos;

/// <summary>Three silos of this machine as <c>phi3v up</c> starts them, with a home of their own, and ways to hurt them.</summary>
internal sealed class ChaosCluster : IDisposable
{
    private const string LateNode = "n4";

    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(30), Answer = TimeSpan.FromSeconds(3);

    private readonly HttpClient _http = new() { Timeout = Answer };

    private readonly string _folder;
    private readonly int _ports;
    private Process? _late;

    /// <summary>Starts it, and returns when all of it answers.</summary>
    public ChaosCluster(string folder, int seed)
    {
        (_folder, _ports) = (folder, 12001 + (100 * (Math.Abs(seed) % 150)));
        Phi3V(["up", "--silos", "3", "--ranks", "1", .. Ports(_ports)]);
    }

    public static IReadOnlyList<string> Nodes => ["n1", "n2", "n3"];

    /// <summary>That a silo's rank computes with: as the supervisor shares them out. With others, sums have other last bits.</summary>
    public static int Threads => Math.Max(1, Environment.ProcessorCount / Nodes.Count);

    private string Home => Path.Combine(_folder, "home");

    /// <returns>The document that the command printed.</returns>
    /// <exception cref="InvalidOperationException">It failed.</exception>
    public JsonElement Phi3V(params string[] arguments)
    {
        using var process = Start("Client", "phi3v", [.. arguments, "--json"]);
        var errors = process.StandardError.ReadToEndAsync();
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException(
                $"phi3v {string.Join(' ', arguments)}: exit code {process.ExitCode}: {text}{errors.Result}");
        return JsonDocument.Parse(text).RootElement;
    }

    /// <summary>What a silo says of a run, the first that answers: a process for each question would hurt the run as well.</summary>
    /// <returns>Null if none does.</returns>
    public JsonElement? Status(string run)
    {
        foreach (var port in Nodes.Select((_, node) => _ports + 40 + node))
        {
            try
            {
                var text = _http.GetStringAsync($"http://127.0.0.1:{port}/api/v1/runs/{run}").GetAwaiter().GetResult();
                return JsonDocument.Parse(text).RootElement;
            }
            catch (Exception error) when (error is HttpRequestException or TaskCanceledException)
            {
                // it is gone, or stands still
            }
        }
        return null;
    }

    /// <returns>False where the node is being started anew.</returns>
    public bool Signal(string node, string signal)
    {
        var silo = State().GetProperty("silos").EnumerateArray().Single(s => s.GetProperty("node").GetString() == node);
        if (silo.GetProperty("process_id") is not { ValueKind: JsonValueKind.Number } process) return false;
        Signal(process.GetInt32(), signal);
        return true;
    }

    /// <summary>A fourth silo, of which the supervisor knows nothing.</summary>
    public void StartLate() => _late = Start("Silo", "phi3v-silo",
    [
        "--node", LateNode, "--ranks", "1", "--threads", $"{Threads}", "--until-stdin-closes",
        "--redis", $"127.0.0.1:{State().GetProperty("store").GetProperty("port").GetInt32()}", .. Ports(_ports + 90),
    ]);

    /// <summary>It leaves as a silo does that is stopped.</summary>
    public void StopLate()
    {
        if (_late is null) return;
        _late.StandardInput.Close();
        _late.WaitForExit();
        _late.Dispose();
        _late = null;
    }

    /// <summary>
    /// The most threads, and open files, sockets among them, that one of its silos has; the fewest in half a minute, for a pool's idle
    /// threads take that long to go.
    /// </summary>
    public ChaosHeld Held()
    {
        var fewest = new ChaosHeld(int.MaxValue, int.MaxValue);
        for (var since = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(since) < Idle; Thread.Sleep(1000))
        {
            List<int> silos = [.. State().GetProperty("silos").EnumerateArray().Select(silo => silo.GetProperty("process_id").GetInt32())];
            fewest = new(
                Math.Min(fewest.Threads, silos.Max(silo => Directory.GetDirectories($"/proc/{silo}/task").Length)),
                Math.Min(fewest.Files, silos.Max(silo => Directory.GetFileSystemEntries($"/proc/{silo}/fd").Length)));
        }
        return fewest;
    }

    /// <summary>Stops all of it.</summary>
    /// <returns>How many of its processes are left.</returns>
    public int Stop()
    {
        StopLate();
        Phi3V("down", "--force");
        return Processes().Count;
    }

    public void Dispose()
    {
        foreach (var process in Processes()) Signal(process, "KILL");
        _late?.Dispose();
        _http.Dispose();
    }

    private static string[] Ports(int first) =>
        ["--gateway-port", $"{first}", "--silo-port", $"{first + 20}", "--http-port", $"{first + 40}"];

    private static void Signal(int process, string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", $"{process}"]);
        kill.WaitForExit();
    }

    private Process Start(string project, string name, IReadOnlyList<string> arguments)
    {
        var here = new DirectoryInfo(AppContext.BaseDirectory);
        var start = new ProcessStartInfo(Path.Combine(here.Parent!.Parent!.FullName, project, here.Name, name), arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        (start.Environment["PHI3V_HOME"], start.Environment["TMPDIR"]) = (Home, _folder);
        start.Environment.Remove("PHI3V_CLUSTER");
        var process = Process.Start(start)!;
        if (name == "phi3v-silo") _ = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        return process;
    }

    private JsonElement State() => JsonDocument.Parse(File.ReadAllText(Path.Combine(Home, "cluster.json"))).RootElement;

    /// <summary>Whoever was started here has the home in its environment.</summary>
    private List<int> Processes() =>
    [
        .. Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Where(name => name!.All(char.IsAsciiDigit))
            .Where(name => EnvironmentOf(name!).Contains($"PHI3V_HOME={Home}\0", StringComparison.Ordinal)).Select(int.Parse!),
    ];

    private static string EnvironmentOf(string process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/environ");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) // it has ended, or is another user's
        {
            return "";
        }
    }
}
