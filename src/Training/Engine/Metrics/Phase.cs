namespace Phi3VCluster.Training.Engine;

/// <summary>What a rank's time goes to. At any moment it is in exactly one phase.</summary>
/// <param name="Meaning">For <c>docs/metrics.md</c>.</param>
public sealed record Phase(string Name, string Meaning)
{
    public const string Load = "load", Rendezvous = "rendezvous", Restore = "restore", Data = "data", Forward = "forward",
        Backward = "backward", Reduce = "reduce", Optimizer = "optimizer", Snapshot = "snapshot", Checkpoint = "checkpoint",
        Evaluation = "evaluation", Export = "export", Idle = "idle";

    /// <summary>In the order in which a run comes to them.</summary>
    public static IReadOnlyList<Phase> All { get; } =
    [
        new(Load, "checks the machine, loads model and data"),
        new(Rendezvous, "is ready, and waits for the others and for its connections to them"),
        new(Restore, "takes over the generation's state, and makes what lives as long as the generation"),
        new(Data, "waits for the step's samples"),
        new(Forward, "computes losses"),
        new(Backward, "computes gradients, while sums of those that are done go on beside it"),
        new(Reduce, "sums gradients over ranks, votes, gathers parameters: communication that nothing hides, and waiting for slower ranks"),
        new(Optimizer, "updates the trained values"),
        new(Snapshot, "copies the state to host memory, for a snapshot or a checkpoint"),
        new(Checkpoint, "waits until a checkpoint is written, which else goes on beside training"),
        new(Evaluation, "evaluates"),
        new(Export, "writes the trained weights and the report"),
        new(Idle, "between steps, and after the last one until the run lets it go"),
    ];
}
