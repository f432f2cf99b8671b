using System.Text.Json;

namespace Phi3VCluster.Training.Engine;

/// <summary>Reads <c>steps.jsonl</c>.</summary>
internal static class StepRecords
{
    /// <summary>Of the last whole line; 0 where there is none.</summary>
    public static long NewestGeneration(string path)
    {
        if (!File.Exists(path)) return 0;
        var newest = 0L;
        foreach (var line in File.ReadLines(path).TakeLast(2)) // a crash may have cut the last one
        {
            try
            {
                using var step = JsonDocument.Parse(line);
                newest = Math.Max(newest, step.RootElement.GetProperty("generation").GetInt64());
            }
            catch (JsonException)
            {
            }
        }
        return newest;
    }
}
