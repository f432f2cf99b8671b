using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Runs;

/// <summary>What the seats' reports say of the run as a whole.</summary>
internal sealed record RunProgress
{
    /// <summary>Rank 0's.</summary>
    public ReportedPhase Phase { get; init; }
    public long Step { get; init; }
    public long TotalSteps { get; init; }
    public int Epoch { get; init; }
    public double? Loss { get; init; }
    public double? LearningRate { get; init; }
    public double? GradNorm { get; init; }
    public double? ImagesPerSecond { get; init; }
    public double? EvalBefore { get; init; }
    public double? EvalAfter { get; init; }
    public double TrainSeconds { get; init; }
    public double? StepSeconds { get; init; }
    public long CheckpointStep { get; init; }
    public IReadOnlyList<string> Notes { get; init; } = [];
    /// <summary>Rank 0's.</summary>
    public ReportedPart? Part { get; init; }

    /// <summary>A generation begins, and what comes after its first step is done anew.</summary>
    public RunProgress At(FormedGeneration begun) => this with
    {
        Phase = ReportedPhase.Joining,
        Step = Math.Min(Step, begun.FirstStep - 1),
        Part = null,
    };

    /// <summary>
    /// Takes a report of the present generation in. A seat that is behind adds nothing: a step is committed by all ranks or by none. The
    /// last words of one that has ended count too: it may have committed a step since it was heard.
    /// </summary>
    public RunProgress With(RankReport report)
    {
        var next = report.Step < Step ? this : this with
        {
            Step = report.Step,
            TotalSteps = Math.Max(TotalSteps, report.TotalSteps),
            // A run that went back to a checkpoint is in an earlier one with its next step.
            Epoch = report.Step > Step ? report.Epoch : Math.Max(Epoch, report.Epoch),
            Loss = report.Loss ?? Loss,
            LearningRate = report.LearningRate ?? LearningRate,
            GradNorm = report.GradNorm ?? GradNorm,
            ImagesPerSecond = report.ImagesPerSecond ?? ImagesPerSecond,
            TrainSeconds = Math.Max(TrainSeconds, report.TrainSeconds),
            StepSeconds = report.StepSeconds ?? StepSeconds,
        };
        var works = report is { Rank: 0, Phase: not (ReportedPhase.Failed or ReportedPhase.Stopped) };
        return next with
        {
            Phase = works ? report.Phase : Phase,
            Part = works ? report.Part : Part,
            EvalBefore = report.EvalBefore ?? EvalBefore,
            EvalAfter = report.EvalAfter ?? EvalAfter,
            CheckpointStep = Math.Max(CheckpointStep, report.CheckpointStep),
            // Another seat may be rank 0 now, and say again what the first one said.
            Notes = report.Notes.Any(note => !Notes.Contains(note)) ? [.. Notes.Union(report.Notes)] : Notes,
        };
    }

    /// <summary>A seat that is in no generation may write its state all the same.</summary>
    public RunProgress WithCheckpoint(long step) => step > CheckpointStep ? this with { CheckpointStep = step } : this;

    /// <summary>What is worth a line in the run's log between an earlier progress and this one.</summary>
    /// <param name="metric">Name of the metric that is evaluated.</param>
    public IEnumerable<string> NewsSince(RunProgress before, string metric, int epochs)
    {
        foreach (var note in Notes.Skip(before.Notes.Count)) yield return note;
        if (before.EvalBefore is null && EvalBefore is { } untrained) yield return $"{metric} before training: {untrained:G6}";
        if (before.Step == 0 && Step > 0) yield return $"first of {TotalSteps} steps committed";
        for (var epoch = before.Epoch + 1; epoch <= Epoch; epoch++) // several, where they are shorter than the time between two reports
            yield return $"epoch {epoch} of {epochs} ended" + (epoch == Epoch ? $" at step {Step}, loss {Loss:G6}" : "");
        if (before.EvalAfter is null && EvalAfter is { } trained) yield return $"{metric} after training: {trained:G6}";
    }
}
