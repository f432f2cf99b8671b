using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Engine.Jobs;

/// <summary>An adapter as PEFT makes it, whose updates are half as large as the weights they change.</summary>
/// <param name="Vision">Whether the tower, its unused last layer too, and the projector are adapted.</param>
internal sealed record RandomAdapter(int Seed, bool Dora, bool Vision)
{
    /// <param name="change">Given each tensor before it is stored.</param>
    /// <returns>The number of adapted linear maps.</returns>
    public int Save(string folder, string checkpoint, Action<string, Tensor>? change = null)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator((ulong)Seed);
        using var source = CheckpointFolder.Open(checkpoint);
        var settings = new AdapterSettings(1 + Seed % 4, 3) { UsesDora = Dora, BaseModel = checkpoint };
        var maps = Phi3VWeights.List(Phi3VConfig.Read(checkpoint))
            .Where(weight => WeightRules.IsAdapted(weight) && (Vision || !WeightRules.IsVision(weight.Name))).ToList();
        var tensors = maps.SelectMany(map => Parts(map, source, settings, generator)).ToList();
        foreach (var (name, tensor) in tensors) change?.Invoke(name, tensor);
        PeftAdapter.Save(folder, settings, tensors);
        return maps.Count;
    }

    private static IEnumerable<(string, Tensor)> Parts(
        TensorInfo map, CheckpointFolder source, AdapterSettings settings, Generator generator)
    {
        var (module, weight) = (WeightRules.ModuleOf(map.Name), empty(map.Shape));
        source.CopyTo(map.Name, weight);
        var a = randn([settings.Rank, map.Shape[1]], generator: generator);
        var b = randn([map.Shape[0], settings.Rank], generator: generator);
        b *= 0.5 * weight.norm() / (settings.Scale * b.mm(a).norm());
        yield return ($"{module}.lora_A.weight", a);
        yield return ($"{module}.lora_B.weight", b);
        if (settings.UsesDora)
            yield return ($"{module}.lora_magnitude_vector",
                linalg.vector_norm(weight, dims: [1]) * (1 + 0.2 * randn([map.Shape[0]], generator: generator)));
    }
}
