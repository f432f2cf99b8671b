using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace Phi3VCluster.Bench.Chaos;

/// <summary>A committed step, and when it was seen in the run's record.</summary>
internal readonly record struct SeenStep(long At, long Step, long Generation);

/// <summary>Looks at the last line of a run's <c>steps.jsonl</c>, fifty times a second.</summary>
internal sealed class StepsWatch : IDisposable
{
    private const int LongestLine = 8192;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    private readonly string _file;
    private readonly Thread _thread;
    private readonly ConcurrentQueue<SeenStep> _seen = new();
    private volatile bool _isOver;

    public StepsWatch(string file)
    {
        _file = file;
        _thread = new Thread(Watch) { IsBackground = true };
        _thread.Start();
    }

    public long Steps => _seen.LastOrDefault().Step;

    /// <summary>The longest time without a new step from a moment on, and how long ago the newest is.</summary>
    public (double Longest, double SinceLast) GapsSince(long moment)
    {
        var (before, longest) = (moment, TimeSpan.Zero);
        foreach (var seen in _seen.Where(seen => seen.At > moment))
        {
            if (Stopwatch.GetElapsedTime(before, seen.At) is var gap && gap > longest) longest = gap;
            before = seen.At;
        }
        return (longest.TotalSeconds, Stopwatch.GetElapsedTime(before).TotalSeconds);
    }

    /// <summary>The last step that was seen of each generation.</summary>
    public IReadOnlyDictionary<long, long> LastOf() =>
        _seen.GroupBy(seen => seen.Generation).ToDictionary(group => group.Key, group => group.Max(seen => seen.Step));

    public void Dispose()
    {
        _isOver = true;
        _thread.Join();
    }

    private void Watch()
    {
        for (var last = default(SeenStep); !_isOver; Thread.Sleep(Pause))
        {
            if (Read() is not { } now || (now.Step, now.Generation) == (last.Step, last.Generation)) continue;
            _seen.Enqueue(last = now);
        }
    }

    private SeenStep? Read()
    {
        if (!File.Exists(_file)) return null;
        using var stream = new FileStream(_file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        stream.Seek(-Math.Min(LongestLine, stream.Length), SeekOrigin.End);
        using var reader = new StreamReader(stream, Encoding.UTF8);
        var lines = reader.ReadToEnd().Split('\n');
        if (lines.Length < 2 || !lines[^2].StartsWith('{')) return null; // what follows the last line's end is half a line, or nothing
        using var step = JsonDocument.Parse(lines[^2]);
        return new(Stopwatch.GetTimestamp(),
            step.RootElement.GetProperty("step").GetInt64(), step.RootElement.GetProperty("generation").GetInt64());
    }
}
