using System.Diagnostics;
using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Training;

namespace Phi3VCluster.Bench.Gpu;

/// <summary>
/// Runs checks in a process beside this one, which goes on with a new one after a check has killed it: a missing symbol or a poisoned CUDA
/// context ends a process, and the minutes on a borrowed machine are few.
/// </summary>
internal static class GpuChecks
{
    public const string ChildVerb = "gpu-checks";

    private const string Failure = "the check itself";

    private static readonly TimeSpan LongestCheck = TimeSpan.FromMinutes(4);

    /// <param name="only">Names; none runs all.</param>
    /// <exception cref="InputException">No such check.</exception>
    public static IEnumerable<GpuRow> Run(IReadOnlyList<string> only)
    {
        var waiting = new Queue<string>(only.Count > 0
            ? only.Select(name => Catalog<IGpuCheck>.Find(name, "--only").Name)
            : Catalog<IGpuCheck>.All.OrderBy(check => check.Order).Select(check => check.Name));
        while (waiting.Count > 0)
            foreach (var row in RunChild(waiting)) yield return row;
    }

    /// <summary>In the child: every row is a line of JSON on standard output; an empty row's line says that a check is over.</summary>
    public static int RunHere(IReadOnlyList<string> names)
    {
        foreach (var name in names)
        {
            var started = Stopwatch.GetTimestamp();
            foreach (var row in Guarded(Catalog<IGpuCheck>.Find(name, "checks"))) Write(row with { Check = name });
            var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
            Write(new("", null, "") { Check = name, Numbers = new Dictionary<string, double> { ["seconds"] = seconds } });
        }
        return 0;
    }

    /// <summary>Takes from the queue what is done, the check that killed the process included.</summary>
    private static IEnumerable<GpuRow> RunChild(Queue<string> waiting)
    {
        using var child = Process.Start(Start(waiting))!;
        using var watchdog = new Timer(_ => Kill(child), null, LongestCheck, Timeout.InfiniteTimeSpan);
        while (child.StandardOutput.ReadLine() is { } line)
        {
            if (!line.StartsWith('{')) continue; // a library's own words
            var row = JsonSerializer.Deserialize<GpuRow>(line)!;
            watchdog.Change(LongestCheck, Timeout.InfiniteTimeSpan);
            if (row.What.Length > 0) yield return row;
            else waiting.Dequeue();
        }
        child.WaitForExit();
        if (waiting.Count > 0)
            yield return new("process", false, $"ended with code {child.ExitCode}; see standard error") { Check = waiting.Dequeue() };
    }

    private static ProcessStartInfo Start(IEnumerable<string> names)
    {
        var program = Environment.ProcessPath!;
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(program) == "dotnet") start.ArgumentList.Add(typeof(GpuChecks).Assembly.Location);
        foreach (var argument in names.Prepend(ChildVerb)) start.ArgumentList.Add(argument);
        return start;
    }

    private static void Kill(Process child)
    {
        try
        {
            child.Kill();
        }
        catch (InvalidOperationException)
        {
            // it has ended by itself
        }
    }

    private static IEnumerable<GpuRow> Guarded(IGpuCheck check)
    {
        using var rows = check.Run().GetEnumerator();
        while (Next(rows) is { } row)
        {
            yield return row;
            if (row.What == Failure) yield break;
        }
    }

    private static GpuRow? Next(IEnumerator<GpuRow> rows)
    {
        try
        {
            return rows.MoveNext() ? rows.Current : null;
        }
        catch (Exception failure) // whatever it is, the next check may still say something
        {
            var place = failure.StackTrace?.Split('\n').FirstOrDefault(line => line.Contains("Phi3V", StringComparison.Ordinal))?.Trim();
            return new(Failure, false, $"{failure.GetType().Name}: {failure.Message} {place}");
        }
    }

    private static void Write(GpuRow row)
    {
        Console.WriteLine(JsonSerializer.Serialize(row));
        Console.Out.Flush();
    }
}
