using Phi3VCluster.Training.Methods;

namespace Phi3VCluster.Training.Engine;

/// <summary>A group of tensors as <c>trainability.json</c> shows it, with the proof that it is trained.</summary>
internal sealed class TrainedGroup
{
    /// <summary>Among all groups, in the order of <see cref="Cut"/>.</summary>
    internal int Index { get; private init; }

    public required string Name { get; init; }
    public bool NeedsImages { get; init; }
    public int Tensors { get; init; }
    public long Parameters { get; init; }
    /// <summary>After clipping, in the first step that could give it one.</summary>
    public double? GradientNorm { get; set; }
    /// <summary>Norm of the difference that <see cref="Step"/> made.</summary>
    public double? WeightChange { get; set; }
    /// <summary>The first step with a learning rate above 0, and images where they are needed.</summary>
    public long? Step { get; set; }
    public bool IsProven => WeightChange is not null;

    /// <summary>The plan's tensors by part, adapters apart.</summary>
    public static IEnumerable<IGrouping<(ModelPart Part, bool IsAdapter), TrainedTensor>> Cut(TrainingPlan plan) =>
        plan.Trained.GroupBy(t => (t.Part, IsAdapter: t.Role != TrainedRole.Weight)).OrderBy(group => group.Key.Part);

    public static IReadOnlyList<TrainedGroup> Of(TrainingPlan plan) => [.. Cut(plan).Select((group, i) => new TrainedGroup
    {
        Index = i,
        Name = PrecisionPlan.Words(group.Key.Part) + (group.Key.IsAdapter ? " adapters" : ""),
        NeedsImages = group.Key.Part is ModelPart.VisionTower or ModelPart.Projector,
        Tensors = group.Count(),
        Parameters = group.Sum(t => t.Tensor.ElementCount),
    })];
}
