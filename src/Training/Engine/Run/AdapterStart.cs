using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>What adapters start from, and how they come into the model.</summary>
internal static class AdapterStart
{
    /// <summary>Fills the adapters, from a folder or anew.</summary>
    /// <exception cref="InputException">The folder's adapters are not exactly the run's.</exception>
    public static void Fill(TrainingPlan plan, FlatParameters parameters, ModelWeights weights, RunSpec spec)
    {
        if (spec.Method.Adapter is { } folder) Load(folder, plan, parameters);
        else Draw(plan, parameters, weights, spec.Seed);
    }

    /// <summary>Attaches the adapters to the weights, which are all set.</summary>
    public static void Attach(TrainingPlan plan, FlatParameters parameters, ModelWeights weights, RunSpec spec)
    {
        foreach (var parts in plan.Trained.GroupBy(t => t.Module))
        {
            weights.Attach(parts.Key, new LowRank(Part(TrainedRole.AdapterA)!, Part(TrainedRole.AdapterB)!, plan.AdapterScale)
            {
                Magnitude = Part(TrainedRole.AdapterMagnitude),
                Dropout = spec.Method.Dropout,
            });

            Tensor? Part(TrainedRole role) => parts.SingleOrDefault(t => t.Role == role) is { } part ? parameters[part.Tensor.Name] : null;
        }
    }

    /// <summary>
    /// Fresh adapters: A drawn from the run's seed, B zero, magnitudes those of the base weights. The same on every rank, whatever else
    /// draws random numbers.
    /// </summary>
    private static void Draw(TrainingPlan plan, FlatParameters parameters, ModelWeights weights, int seed)
    {
        using var gradients = no_grad();
        using var generator = new Generator((ulong)seed);
        foreach (var adapter in plan.Trained)
        {
            using var scope = NewDisposeScope();
            var place = parameters[adapter.Tensor.Name];
            if (adapter.Role == TrainedRole.AdapterA)
            {
                var drawn = randn(adapter.Tensor.Shape, generator: generator);
                drawn.Scale(adapter.InitialDeviation);
                place.copy_(drawn);
            }
            else if (adapter.Role == TrainedRole.AdapterB) place.copy_(zeros(adapter.Tensor.Shape));
            else if (adapter.Role == TrainedRole.AdapterMagnitude) place.copy_(weights.RowNorms(adapter.Module));
        }
    }

    private static void Load(string folder, TrainingPlan plan, FlatParameters parameters)
    {
        using var saved = PeftAdapter.Load(folder);
        var wanted = plan.Trained.ToDictionary(a => a.Tensor.Name, a => a.Tensor);
        var problems = saved.Names.Where(name => !wanted.ContainsKey(name)).Select(name =>
                $"method.adapter: {folder} has {name}, which this run does not train; use the method's settings it was made with.")
            .Concat(wanted.Keys.Except(saved.Names).Select(name =>
                $"method.adapter: {folder} lacks {name}; use the method's settings it was made with."))
            .Concat(wanted.Values
                .Where(tensor => saved.Names.Contains(tensor.Name) && !saved.Info(tensor.Name).Shape.SequenceEqual(tensor.Shape))
                .Select(tensor => $"method.adapter: {tensor.Name} is [{string.Join(", ", saved.Info(tensor.Name).Shape)}], this run needs "
                    + $"[{string.Join(", ", tensor.Shape)}]; check method.rank and model.path."))
            .ToList();
        if (problems.Count > 0) throw new InputException(ProblemList.Short(problems, $"method.adapter: {folder}"));
        foreach (var name in wanted.Keys) saved.CopyTo(name, parameters[name]);
    }
}
