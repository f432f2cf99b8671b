using System.Text.Json.Nodes;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Tests.Checkpoints;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>The smallest model, seven samples that are all different in kind, and the runs over them.</summary>
public sealed class SmallRuns : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly QuickstartFiles _files;
    private readonly JsonNode[] _pages;
    private int _runs;

    public SmallRuns()
    {
        _files = QuickstartFiles.Create(_folder["sample"], seed: 5, new(TrainPages: 7, EvalPages: 1, TinySizes.Smallest));
        _pages = [.. File.ReadLines(_files.Train).Select(line => JsonNode.Parse(line)!)];
    }

    /// <summary>Steps of three samples, of which the last has one. Nothing is evaluated.</summary>
    public RunSpec Spec => new()
    {
        Model = new() { Path = _files.Checkpoint, NumCrops = 1 },
        Method = new() { Rank = 4 },
        Data = new() { Train = Mixed(), Shuffle = false },
        Batch = new() { Global = 3, Micro = 1 },
        Optimizer = new() { LearningRate = 1e-3, Schedule = "constant", WarmupSteps = 0 },
        Output = _folder.Path,
    };

    /// <summary>The spec of adapters with everything else as it is.</summary>
    public RunSpec Lora => Spec with { Method = new() { Kind = "lora", Rank = 4 } };

    /// <summary>Samples with one image, two, the same again and none, with one turn to four.</summary>
    public string Mixed() => Write("mixed", [.. _pages.Select((_, i) => i switch
    {
        2 => Sample(i, turns: 2, withImage: false),
        3 => Sample(i, turns: 2, like: 0),
        4 => Both(i, 5),
        _ => Sample(i, turns: 1 + i % 4),
    })]);

    public string TextOnly() => Write("text", [.. _pages.Take(3).Select((_, i) => Sample(i, turns: 1 + i, withImage: false))]);

    /// <summary>A file of the samples as they are after <paramref name="change"/>.</summary>
    public string Changed(string name, Action<JsonNode[]> change, params int[] kept)
    {
        JsonNode[] samples = [.. File.ReadLines(Mixed()).Select(line => JsonNode.Parse(line)!)];
        change(samples);
        return Write(name, kept.Length == 0 ? samples : [.. kept.Select(i => samples[i])]);
    }

    /// <summary>A copy of the checkpoint with one tensor changed.</summary>
    public string Checkpoint(string tensor, Action<Tensor> change)
    {
        using var scope = NewDisposeScope();
        using var source = CheckpointFolder.Open(_files.Checkpoint);
        var value = source.View(tensor).clone();
        change(value);
        var target = _folder[$"checkpoint-{++_runs}"];
        HfExport.Save(source, target, [StoredTensor.Of(tensor, value)]);
        return target;
    }

    public string PathOf(string name) => _folder[name];

    /// <returns>The folder of a run that came to its end.</returns>
    public string Finish(RunSpec spec, int worldSize = 1)
    {
        var ends = Run(spec, worldSize, out var output);
        Assert.All(ends, end => Assert.True(end.Phase == RankPhase.Finished, $"rank {end.Id.Seat}: {end.Error}"));
        return output;
    }

    /// <returns>Each rank's last words, in a run that every rank gave up.</returns>
    public IReadOnlyList<string> Fail(RunSpec spec, int worldSize, out string output)
    {
        var ends = Run(spec, worldSize, out output);
        Assert.All(ends, end => Assert.True(end.Phase == RankPhase.Failed || end.Fault == FaultKind.Echo, $"{end}"));
        Assert.Contains(ends, end => end.Phase == RankPhase.Failed);
        return [.. ends.Select(end => end.Error!)];
    }

    public static IReadOnlyList<double> Numbers(string output, string key) =>
        [.. LocalRun.Steps(output).Select(step => step.GetProperty(key).GetDouble())];

    public void Dispose() => _folder.Dispose();

    private IReadOnlyList<RankProgress> Run(RunSpec spec, int worldSize, out string output) =>
        LocalRun.Train(spec, worldSize, output = _folder[$"run-{Interlocked.Increment(ref _runs)}"], abortsTheRest: false);

    private JsonNode Sample(int index, int turns, bool withImage = true, int? like = null)
    {
        var page = _pages[like ?? index].DeepClone();
        page["id"] = $"s{index}";
        var conversation = page["conversations"]!.AsArray();
        while (conversation.Count > turns) conversation.RemoveAt(conversation.Count - 1);
        if (!withImage) conversation[0]!["images"] = new JsonArray();
        return page;
    }

    private JsonNode Both(int first, int second)
    {
        var (sample, other) = (Sample(first, turns: 1), Sample(second, turns: 1));
        sample["conversations"]!.AsArray().Add(other["conversations"]![0]!.DeepClone());
        return sample;
    }

    private string Write(string name, JsonNode[] samples)
    {
        var path = Path.Combine(Path.GetDirectoryName(_files.Train)!, name + ".jsonl"); // images are found from there
        File.WriteAllLines(path, samples.Select(sample => sample.ToJsonString()));
        return path;
    }
}
