using System.Diagnostics;
using Phi3VCluster.Bench.Step;
using Phi3VCluster.Spec;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Generation;

/// <summary>
/// Greedy answers of a small model with the released vocabulary: a group that grows together, beside one after the other, taking turns.
/// </summary>
internal sealed class GenerationBenchmark : IBenchmark
{
    private const int Prompts = 8, PromptTokens = 64, NewTokens = 32, Rounds = 5;

    public string Name => "generation";

    public string Description => $"{NewTokens} new tokens for each of {Prompts} prompts of {PromptTokens}, together and one by one";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        LibTorch.Load();
        var folder = Directory.CreateTempSubdirectory("phi3v-bench-").FullName;
        try
        {
            var files = StepFiles.Create(folder, new(), samples: 0);
            using var trained = TrainedModel.Load(
                new() { Model = new() { Path = files.Checkpoint }, Method = new() { Kind = "head" } }, RankCompute.Plain);
            var together = new TextGenerationOptions { MaxNewTokens = NewTokens, IgnoreEos = true };
            var apart = together with { MaxCacheBytes = 0 };
            var (fast, slow) = (new List<double>(), new List<double>());
            for (var round = 0; round <= Rounds; round++)
            {
                fast.Add(Seconds(trained.Model, together));
                slow.Add(Seconds(trained.Model, apart));
            }
            yield return new($"{Prompts} answers together", Speed(fast), "tokens/s") { Peer = "one by one", PeerMeasured = Speed(slow) };
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static double Seconds(Phi3VModel model, TextGenerationOptions options)
    {
        using var scope = NewDisposeScope();
        var random = new SplitMix64(1);
        ModelInput[] prompts = [.. Enumerable.Range(0, Prompts).Select(_ => new ModelInput([.. Ids(random)], null, []))];
        var start = Stopwatch.GetTimestamp();
        model.Generate(prompts, options);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static IEnumerable<long> Ids(SplitMix64 random) => Enumerable.Range(0, PromptTokens).Select(_ => (long)random.Below(32000));

    /// <summary>By the median, the first round apart.</summary>
    private static double Speed(List<double> seconds) => Prompts * NewTokens / seconds.Skip(1).Order().ElementAt(Rounds / 2);
}
