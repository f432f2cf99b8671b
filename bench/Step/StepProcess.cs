using System.Diagnostics;
using System.Text.Json;

namespace Phi3VCluster.Bench.Step;

/// <summary>
/// A process that says "ready", then takes a step for every line it reads and answers with what it took, as JSON. Processes, so that peak
/// memory and threads are one contender's own; the others wait meanwhile and compute nothing.
/// </summary>
internal sealed class StepProcess : IDisposable
{
    private readonly Process _process;
    private readonly List<Answer> _answers = [];

    public StepProcess(string name, ProcessStartInfo start)
    {
        Name = name;
        start.RedirectStandardInput = start.RedirectStandardOutput = true;
        _process = Process.Start(start)!;
        try
        {
            while (ReadLine() != "ready") { }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public string Name { get; }

    public IReadOnlyList<double> Losses => [.. _answers.Select(answer => answer.Loss)];

    public long PeakBytes => _answers[^1].PeakRssBytes;

    public void TakeStep()
    {
        _process.StandardInput.WriteLine();
        _answers.Add(JsonSerializer.Deserialize<Answer>(ReadLine(), JsonSerializerOptions)!);
    }

    /// <param name="warmUps">First steps that do not count.</param>
    public double MedianSeconds(int warmUps)
    {
        var sorted = _answers.Skip(warmUps).Select(answer => answer.Seconds).Order().ToList();
        return sorted[sorted.Count / 2];
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(TimeSpan.FromSeconds(30))) _process.Kill();
        _process.Dispose();
    }

    private static JsonSerializerOptions JsonSerializerOptions { get; } = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private string ReadLine() =>
        _process.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"{Name} ended early; its reason is on stderr.");

    /// <summary>One step, as <see cref="StepWorker"/> and <c>peers/hf_step.py</c> both write it.</summary>
    internal sealed record Answer(double Seconds, double Loss, long PeakRssBytes)
    {
        public string ToJson() => JsonSerializer.Serialize(this, JsonSerializerOptions);
    }
}
