using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>What adapters start from.</summary>
internal static class AdapterStart
{
    /// <summary>Fresh adapters: A drawn from the run's seed, B zero. The same on every rank, whatever else draws random numbers.</summary>
    public static void Draw(IReadOnlyList<TrainedTensor> adapters, FlatParameters parameters, int seed)
    {
        using var gradients = no_grad();
        using var generator = new Generator((ulong)seed);
        foreach (var adapter in adapters.Where(a => a.Role == TrainedRole.AdapterA))
        {
            using var drawn = randn(adapter.Tensor.Shape, generator: generator);
            drawn.Scale(adapter.InitialDeviation);
            parameters[adapter.Tensor.Name].copy_(drawn);
        }
    }

    /// <summary>Adapters of an earlier run, or PEFT's.</summary>
    /// <exception cref="InputException">The folder's adapters are not exactly the run's: all differences at once.</exception>
    public static void Load(string folder, IReadOnlyList<TrainedTensor> adapters, FlatParameters parameters)
    {
        using var saved = PeftAdapter.Load(folder);
        var wanted = adapters.ToDictionary(a => a.Tensor.Name, a => a.Tensor);
        var problems = saved.Names.Where(name => !wanted.ContainsKey(name)).Select(name => $"method.adapter: {folder} has {name}, which this run does not train; use the method's settings it was made with.")
            .Concat(wanted.Keys.Except(saved.Names).Select(name => $"method.adapter: {folder} lacks {name}; use the method's settings it was made with."))
            .Concat(wanted.Values.Where(tensor => saved.Names.Contains(tensor.Name) && !saved.Info(tensor.Name).Shape.SequenceEqual(tensor.Shape)).Select(tensor =>
                $"method.adapter: {tensor.Name} is [{string.Join(", ", saved.Info(tensor.Name).Shape)}], this run needs [{string.Join(", ", tensor.Shape)}]; check method.rank and model.path."))
            .ToList();
        if (problems.Count > 0) throw new InputException(problems);
        foreach (var name in wanted.Keys) saved.CopyTo(name, parameters[name]);
    }
}
