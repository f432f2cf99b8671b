using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Model;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>A PEFT adapter that fits a checkpoint.</summary>
internal sealed class AttachedAdapter : IDisposable
{
    private const string A = ".lora_A.weight", B = ".lora_B.weight", Magnitude = ".lora_magnitude_vector";
    private readonly PeftAdapter _adapter;
    private readonly HashSet<string> _used;

    private AttachedAdapter(PeftAdapter adapter, BaseCheckpoint checkpoint)
    {
        (_adapter, Modules) = (adapter, adapter.Modules);
        _used = [.. checkpoint.Used.Select(weight => WeightRules.ModuleOf(weight.Name))];
    }

    /// <summary>The linear maps it changes. PEFT adapts the tower's last layer too, which nothing reads.</summary>
    public IReadOnlyList<string> Modules { get; }

    /// <exception cref="InputException">Not an adapter, or one of another model.</exception>
    public static AttachedAdapter Open(string folder, BaseCheckpoint checkpoint)
    {
        var adapter = PeftAdapter.Load(folder);
        var maps = Phi3VWeights.List(checkpoint.Config).Where(WeightRules.IsAdapted)
            .ToDictionary(weight => WeightRules.ModuleOf(weight.Name));
        var problems = adapter.Modules.Select(module => Problem(module, adapter, maps)).OfType<string>().ToList();
        if (problems.Count == 0) return new(adapter, checkpoint);
        adapter.Dispose();
        throw new InputException(ProblemList.Short(
            [.. problems.Select(problem => $"--adapter: {folder} is not of this model: {problem}; use the model it was trained from.")],
            $"--adapter: {folder}, with {adapter.Modules.Count} modules"));
    }

    /// <param name="tensors">Keeps the adapter's matrices for the model.</param>
    public void Attach(ModelWeights weights, FrozenTensors tensors)
    {
        foreach (var module in Modules.Where(_used.Contains)) weights.Attach(module, Read(module, tensors.Add));
    }

    /// <summary>What it does to one of its <see cref="Modules"/>.</summary>
    /// <param name="place">Makes a tensor to read into.</param>
    public LowRank Read(string module, Func<long[], Tensor> place)
    {
        return new(Part(A), Part(B), _adapter.Settings.Scale) { Magnitude = _adapter.Settings.UsesDora ? Part(Magnitude) : null };

        Tensor Part(string end)
        {
            var tensor = place(_adapter.Info(module + end).Shape);
            _adapter.CopyTo(module + end, tensor);
            return tensor;
        }
    }

    public void Dispose() => _adapter.Dispose();

    private static string? Problem(string module, PeftAdapter adapter, Dictionary<string, TensorInfo> maps)
    {
        if (!maps.TryGetValue(module, out var weight)) return $"there is no linear layer {module}";
        var (inputs, outputs) = (adapter.Info(module + A).Shape[1], adapter.Info(module + B).Shape[0]);
        return weight.Shape[0] == outputs && weight.Shape[1] == inputs ? null
            : $"{module} must be [{weight.Shape[0]}, {weight.Shape[1]}], got [{outputs}, {inputs}]";
    }
}
