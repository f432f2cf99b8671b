using System.ComponentModel;

namespace Phi3VCluster.Grains.Interfaces;

/// <summary>A run as machines see it, by the CLI's <c>--json</c> and by the HTTP API alike (snake_case of these names).</summary>
public sealed record RunRow(
    [property: Description("The run's id.")] string Run,
    [property: Description("Name of the spec.")] string Name,
    [property: Description("queued, running, done, failed or cancelled.")] string State,
    [property: Description("What it does within its state: gathering, training, parting, regrouping …")] string Phase,
    [property: Description("Last committed step; 0 before the first.")] long Step,
    long TotalSteps,
    [property: Description("Epochs finished.")] int Epoch,
    int Epochs,
    double? Loss,
    double? LearningRate,
    double? GradNorm,
    [property: Description("Over all ranks.")] double? ImagesPerSecond,
    [property: Description("Ranks of the present generation, or of the last; 0 before the first.")] int WorldSize,
    long Generation,
    [property: Description("What it waits for; of a run that has begun, why.")] string? WaitingFor,
    string? Error,
    [property: Description("The ranks of the newest generation, by node.")] IReadOnlyList<NodeRow> Nodes,
    [property: Description("What the evaluations measure; null where there are none.")] string? Metric,
    double? EvalBefore,
    double? EvalAfter,
    [property: Description("The run's folder of results.")] string Output,
    [property: Description("From the lease to the end, or to now.")] double Seconds,
    [property: Description("Of training steps.")] double TrainSeconds,
    DateTimeOffset SubmittedAt,
    DateTimeOffset? StartedAt,
    DateTimeOffset? FinishedAt,
    [property: Description("The newest ones, oldest first.")] IReadOnlyList<GenerationRow> Generations,
    [property: Description("How far rank 0 is within the phase; null where nothing is counted.")] PartRow? Part,
    [property: Description("The newest step that a complete checkpoint holds; 0 for none.")] long CheckpointStep,
    [property: Description("Of a step: the median of the last 20; null before the first.")] double? StepSeconds,
    [property: Description("Of runs that wait, the one of the highest is next.")] int Priority)
{
    public static RunRow Of(RunStatus s) => new(
        s.Run, s.Name, s.State.ToString().ToLowerInvariant(), s.Phase, s.Step, s.TotalSteps, s.Epoch, s.Epochs,
        s.Loss, s.LearningRate, s.GradNorm, s.ImagesPerSecond,
        s.WorldSize, s.Generation, s.WaitingFor, s.Error, [.. s.Nodes.Select(n => new NodeRow(n.Node, n.Silo, n.Ranks))],
        s.Metric, s.EvalBefore, s.EvalAfter, s.Output, s.Seconds, s.TrainSeconds, s.SubmittedAt, s.StartedAt, s.FinishedAt,
        [.. s.Generations.Select(g => new GenerationRow(g.Generation, g.WorldSize, g.Cause, g.FirstStep, g.Seconds))],
        s.Part is { } part ? new(part.Done, part.Total, part.Unit) : null, s.CheckpointStep, s.StepSeconds, s.Priority);
}

/// <summary>The ranks of a run on one node.</summary>
public sealed record NodeRow(
    string Node,
    [property: Description("Address of its silo.")] string Silo,
    IReadOnlyList<int> Ranks);

/// <summary>How a generation of a run came about.</summary>
public sealed record GenerationRow(
    long Generation,
    int WorldSize,
    [property: Description("start, resume, \"n2 was lost\" …")] string Cause,
    [property: Description("The first that it trains.")] long FirstStep,
    [property: Description("From its cause until all seats were told to join.")] double Seconds);

/// <summary>How far rank 0 is with what takes long within a phase.</summary>
public sealed record PartRow(
    long Done,
    long Total,
    [property: Description("What is counted.")] string Unit);
