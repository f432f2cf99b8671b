namespace Phi3VCluster.Training.Engine;

/// <summary>Where a run is: so many steps are committed, and this comes next. Ordered as they follow each other.</summary>
internal readonly record struct TrainingPosition(long Step, TrainingStage Stage)
{
    public static TrainingPosition Start { get; } = new(0, TrainingStage.EvaluateBefore);
}
