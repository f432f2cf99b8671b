using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Methods;

/// <summary>
/// Decides which tensors a run trains. Knows weights by name and shape only, so that a method is a list and not a second
/// training loop. One file each, found by <see cref="INamed.Name"/>.
/// </summary>
public interface ITrainingMethod : INamed
{
    /// <param name="weights">The model's weights in computation order, as Model lists them.</param>
    /// <exception cref="InputException">The spec's settings do not fit this model.</exception>
    TrainingPlan Plan(IReadOnlyList<TensorInfo> weights, MethodSpec spec);
}

/// <summary>What is trained, in computation order, and how adapters are scaled.</summary>
/// <param name="Trained">The trained tensors; adapters of one target stand together, A before B before the magnitude.</param>
/// <param name="AdapterScale">alpha / rank; unused without adapters.</param>
public sealed record TrainingPlan(IReadOnlyList<TrainedTensor> Trained, double AdapterScale)
{
    public bool HasAdapters => Trained.Any(t => t.Role != TrainedRole.Weight);

    /// <summary>Frozen linear maps that are kept in 4 bits, by the weight's name.</summary>
    public IReadOnlySet<string> InFourBits { get; init; } = new HashSet<string>();
}

/// <summary>What a trained tensor is to the model.</summary>
public enum TrainedRole
{
    /// <summary>A weight of the model itself; starts as the checkpoint has it.</summary>
    Weight,
    /// <summary>An adapter's first matrix [rank, in]; starts random.</summary>
    AdapterA,
    /// <summary>An adapter's second matrix [out, rank]; starts at zero, so step 0 equals the base model.</summary>
    AdapterB,
    /// <summary>DoRA's length of every row [out]; starts as the base weight has it.</summary>
    AdapterMagnitude,
}

/// <summary>The parts of a model that are reported, and may have learning rates, by themselves.</summary>
public enum ModelPart
{
    VisionTower,
    /// <summary>With the line separators.</summary>
    Projector,
    TokenEmbedding,
    Decoder,
    /// <summary>With the final norm.</summary>
    Head,
}

/// <param name="Tensor">
/// Name and shape; for adapters <c>{module}.lora_A.weight</c>, <c>.lora_B.weight</c> or <c>.lora_magnitude_vector</c>.
/// </param>
/// <param name="Module">The base weight's name without <c>.weight</c>, e.g. <c>model.layers.0.mlp.down_proj</c>.</param>
/// <param name="Decays">Whether weight decay applies.</param>
/// <param name="InitialDeviation">Standard deviation of an AdapterA's start; 0 elsewhere.</param>
public sealed record TrainedTensor(TensorInfo Tensor, TrainedRole Role, string Module, bool Decays, double InitialDeviation)
{
    public ModelPart Part => WeightRules.PartOf(Module);
}
