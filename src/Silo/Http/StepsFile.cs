using System.Text.Json;

namespace Phi3VCluster.Silo.Http;

/// <summary>
/// Reads a part of <c>steps.jsonl</c>. Its steps ascend, so that the first one is found by halving: who asks each second for what is new
/// costs a few reads, however long the run.
/// </summary>
internal static class StepsFile
{
    private const string Name = "steps.jsonl";

    /// <param name="points">Most points.</param>
    public static StepSeries Read(RunOutput run, long from, int points)
    {
        if (run.Problem is { } problem) return StepSeries.Empty(run.Run, from, problem);
        if (!File.Exists(run.At(Name))) return StepSeries.Empty(run.Run, from, problem: null);
        // A generation puts a new file in its place at any time: this one stays whole.
        using var file = new FileStream(run.At(Name), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var lines = new StepLineFinder(file);
        if (lines.Last is not { } last || last < from) return StepSeries.Empty(run.Run, from, problem: null);
        var perPoint = (last - from) / points + 1;
        var means = new List<StepMean>();
        var mean = new StepMean();
        foreach (var line in lines.From(from))
        {
            if (Step(line) is not { } step || step.Step > last) break; // what has come meanwhile is for the next question
            mean.Add(step);
            if (mean.Count < perPoint) continue;
            means.Add(mean);
            mean = new();
        }
        if (mean.Count > 0) means.Add(mean);
        return new(run.Run, null, perPoint, means.Count > 0 ? means[^1].Last.Step + 1 : from,
            [.. means.Select(m => m.Last.Step)], [.. means.Select(m => m.Last.Epoch)], [.. means.Select(m => m.Last.Generation)],
            [.. means.Select(m => m.Last.WorldSize)],
            [.. means.Select(m => m.Loss / m.Count)], [.. means.Select(m => m.GradNorm / m.Count)],
            [.. means.Select(m => m.Last.LearningRate)], [.. means.Select(m => m.Images / m.Seconds)],
            [.. means.Select(m => m.Tokens / m.Seconds)]);
    }

    /// <summary>Null for a line that is cut short.</summary>
    public static StepLine? Step(string line)
    {
        try
        {
            return JsonSerializer.Deserialize<StepLine>(line, ApiJson.Options);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private sealed class StepMean
    {
        public StepLine Last { get; private set; } = null!;
        public int Count { get; private set; }
        public double Loss { get; private set; }
        public double GradNorm { get; private set; }
        public double Images { get; private set; }
        public double Tokens { get; private set; }
        public double Seconds { get; private set; }

        public void Add(StepLine step)
        {
            (Last, Count) = (step, Count + 1);
            (Loss, GradNorm) = (Loss + step.Loss, GradNorm + step.GradNorm);
            (Images, Tokens, Seconds) = (Images + step.Images, Tokens + step.Tokens, Seconds + step.Seconds);
        }
    }
}

/// <summary>What of a line is shown.</summary>
internal sealed record StepLine(
    long Step, int Epoch, long Generation, int WorldSize, double Loss, double GradNorm, double LearningRate, long Images, long Tokens,
    double Seconds);
