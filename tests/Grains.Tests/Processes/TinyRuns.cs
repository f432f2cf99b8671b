using System.Text.Json;
using Orleans;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Tests.Processes;

/// <summary>Real runs as small as they get, submitted to silos that are processes.</summary>
internal sealed class TinyRuns(string folder)
{
    private readonly QuickstartFiles _files =
        QuickstartFiles.Create(Path.Combine(folder, "files"), seed: 1, new(TrainPages: 8, EvalPages: 4, TinySizes.Smallest));

    public RunSpec Spec(int ranks, int epochs = 1) => new()
    {
        Name = "tiny",
        Model = new() { Path = _files.Checkpoint, NumCrops = 1 },
        Method = new() { Kind = "full" },
        Data = new() { Train = _files.Train },
        Batch = new() { Global = 4 },
        Epochs = epochs,
        Optimizer = new() { LearningRate = 1e-3, WarmupSteps = 1 },
        Cluster = new() { MinRanks = ranks, MaxRanks = ranks, Device = "cpu" },
        Output = Path.Combine(folder, "output"),
    };

    /// <returns>The run's id.</returns>
    public static async Task<string> SubmitAsync(IClusterGrain front, RunSpec spec)
    {
        var reply = await front.SubmitAsync(new SubmitRequest(RunSpecJson.ToText(spec)));
        Assert.Empty(reply.Problems);
        return reply.RunId;
    }
}
