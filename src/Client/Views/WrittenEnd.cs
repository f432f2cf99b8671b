using System.Text.Json;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Views;

/// <summary><c>end.json</c> of a run that failed or was cancelled, where nothing was trained since.</summary>
internal sealed record WrittenEnd(RunState State, string? Error, long TotalSteps, IReadOnlyList<string> Log)
{
    public static WrittenEnd? Read(string folder)
    {
        var (file, steps) = (Path.Combine(folder, "end.json"), Path.Combine(folder, "steps.jsonl"));
        if (!File.Exists(file) || File.GetLastWriteTimeUtc(steps) > File.GetLastWriteTimeUtc(file)) return null; // it was resumed
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllText(file));
            var end = document.RootElement;
            return new(Enum.Parse<RunState>(end.GetProperty("state").GetString()!, ignoreCase: true), end.GetProperty("error").GetString(),
                end.GetProperty("total_steps").GetInt64(), [.. end.GetProperty("log").EnumerateArray().Select(line => line.GetString()!)]);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException
            or InvalidOperationException or ArgumentException)
        {
            return null;
        }
    }
}
