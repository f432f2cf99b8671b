using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Views;

/// <summary>A run as <c>--json</c> shows it (snake_case of these names).</summary>
internal sealed record RunRow(
    string Run, string Name, string State, string Phase, long Step, long TotalSteps, int Epoch, int Epochs,
    double? Loss, double? LearningRate, double? GradNorm, double? ImagesPerSecond, int WorldSize, long Generation,
    string? WaitingFor, string? Error, IReadOnlyList<NodeRow> Nodes,
    string? Metric, double? EvalBefore, double? EvalAfter, string Output, double Seconds, double TrainSeconds,
    DateTimeOffset SubmittedAt, DateTimeOffset? StartedAt, DateTimeOffset? FinishedAt, IReadOnlyList<GenerationRow> Generations)
{
    public static RunRow Of(RunStatus s) => new(
        s.Run, s.Name, Words.Of(s.State), s.Phase, s.Step, s.TotalSteps, s.Epoch, s.Epochs,
        s.Loss, s.LearningRate, s.GradNorm, s.ImagesPerSecond,
        s.WorldSize, s.Generation, s.WaitingFor, s.Error, [.. s.Nodes.Select(n => new NodeRow(n.Node, n.Silo, n.Ranks))],
        s.Metric, s.EvalBefore, s.EvalAfter, s.Output, s.Seconds, s.TrainSeconds, s.SubmittedAt, s.StartedAt, s.FinishedAt,
        [.. s.Generations.Select(g => new GenerationRow(g.Generation, g.WorldSize, g.Cause, g.FirstStep, g.Seconds))]);
}

/// <summary>The ranks of a run on one node.</summary>
internal sealed record NodeRow(string Node, string Silo, IReadOnlyList<int> Ranks);

/// <summary>How a generation of a run came about.</summary>
internal sealed record GenerationRow(long Generation, int WorldSize, string Cause, long FirstStep, double Seconds);
