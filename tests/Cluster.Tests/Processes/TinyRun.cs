using System.Text.Json;
using Phi3VCluster.Samples;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>A real run as small as it gets: an untrained checkpoint of the smallest sizes and a dozen pages, in the sandbox.</summary>
public sealed class TinyRun
{
    public const int TrainPages = 12, EvalPages = 4, Batch = 4;

    private readonly CliSandbox _cli;
    private readonly QuickstartFiles _files;

    public TinyRun(CliSandbox cli) =>
        (_cli, _files) = (cli, QuickstartFiles.Create(cli.At("files"), seed: 1, new(TrainPages, EvalPages, TinySizes.Smallest)));

    /// <summary>Finishes in seconds.</summary>
    /// <returns>The spec's path.</returns>
    public string Spec(int ranks = 2, int epochs = 2) => _cli.Write($"tiny-{ranks}-{epochs}.yaml",
        $$"""
        name: tiny
        model: { path: {{_files.Checkpoint}}, numCrops: 1 }
        method: { kind: full }
        data: { kind: conversations, train: {{_files.Train}}, eval: {{_files.Eval}} }
        batch: { global: {{Batch}} }
        epochs: {{epochs}}
        optimizer: { learningRate: 1.0e-3, warmupSteps: 1 }
        evaluation: { metric: anls, maxNewTokens: 2 }
        cluster: { minRanks: {{ranks}}, maxRanks: {{ranks}}, device: cpu }
        output: {{_cli.At("output")}}
        """);

    /// <summary>Trains until somebody ends it.</summary>
    public string EndlessSpec(int ranks = 2) => Spec(ranks, epochs: 1_000_000);

    /// <summary>As that, on any number of ranks within limits, and with an evaluation that takes no time.</summary>
    public string ElasticSpec(int least, int most) => _cli.Write($"elastic-{least}-{most}.yaml", File.ReadAllText(EndlessSpec(most))
        .Replace($"minRanks: {most},", $"minRanks: {least},", StringComparison.Ordinal)
        .Replace("metric: anls, maxNewTokens: 2", "metric: loss", StringComparison.Ordinal));

    /// <summary>Makes one page of the training set unreadable.</summary>
    /// <returns>The sample's id and its file.</returns>
    public (string Sample, string File) SpoilOnePage()
    {
        var file = Path.Combine(Path.GetDirectoryName(_files.Train)!, "train", "page-0003.png");
        File.WriteAllBytes(file, File.ReadAllBytes(file)[..^100]); // looks whole until it is decoded
        return ("train-0003", file);
    }

    /// <summary>Until the sandbox's only run so far has committed two steps.</summary>
    public Task UntilTrainingAsync() => Eventually.Holds(() => CommittedSteps() >= 2, CliSandbox.Timeout, "two steps are committed");

    public static IReadOnlyList<JsonElement> Lines(string file) => [.. File.ReadLines(file).Select(l => JsonDocument.Parse(l).RootElement)];

    public static JsonElement Json(string file) => JsonDocument.Parse(File.ReadAllText(file)).RootElement;

    private int CommittedSteps()
    {
        var steps = Directory.Exists(_cli.At("output"))
            ? Directory.EnumerateFiles(_cli.At("output"), "steps.jsonl", SearchOption.AllDirectories).SingleOrDefault() : null;
        return steps is null ? 0 : File.ReadLines(steps).Count();
    }
}
