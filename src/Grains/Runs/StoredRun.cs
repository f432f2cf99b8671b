using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Protocol;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Runs;

/// <summary>What a run's grain knows, and stores whenever the protocol moves on.</summary>
internal sealed class StoredRun
{
    /// <summary>Counts what a reader of an earlier build could not make sense of.</summary>
    public const int ThisFormat = 1;

    public int Format { get; set; } = ThisFormat;
    /// <summary>Null until the run was submitted.</summary>
    public QueuedRun? Submitted { get; set; }
    public Lease? Lease { get; set; }
    public Rendezvous Rendezvous { get; set; } = Rendezvous.New;
    public RunProgress Progress { get; set; } = new();
    public RunLog Log { get; set; } = RunLog.Empty;
    public string? WaitingFor { get; set; }
    public DateTimeOffset? StartedAt { get; set; }
    public DateTimeOffset? FinishedAt { get; set; }

    public RunStatus StatusAt(DateTimeOffset now, RunSpec spec)
    {
        var phase = Rendezvous.Phase;
        return new()
        {
            Run = Submitted!.Run,
            Name = spec.Name,
            State = phase.State,
            Phase = PhaseWord(phase),
            Step = Progress.Step,
            TotalSteps = Progress.TotalSteps,
            Epoch = Progress.Epoch,
            Epochs = spec.Epochs,
            Loss = Progress.Loss,
            LearningRate = Progress.LearningRate,
            GradNorm = Progress.GradNorm,
            ImagesPerSecond = Progress.ImagesPerSecond,
            WorldSize = Rendezvous.Places.Length,
            Generation = Rendezvous.Generation,
            WaitingFor = WaitingForAt(phase),
            Error = phase is RunPhase.Failed failed ? failed.Error : null,
            Nodes =
            [
                .. Rendezvous.Places.GroupBy(p => (p.Node, p.Silo))
                    .Select(g => new NodeRanks(g.Key.Node, g.Key.Silo, [.. g.Select(p => p.Rank)])),
            ],
            Metric = spec.Data.Eval is null && Progress.EvalBefore is null && Progress.EvalAfter is null ? null : spec.Evaluation.Metric,
            EvalBefore = Progress.EvalBefore,
            EvalAfter = Progress.EvalAfter,
            Output = Submitted.Output,
            Seconds = StartedAt is { } started ? ((FinishedAt ?? now) - started).TotalSeconds : 0,
            TrainSeconds = Progress.TrainSeconds,
            Notes = Progress.Notes,
            Part = phase is RunPhase.Running ? Progress.Part : null,
            SubmittedAt = Submitted.SubmittedAt,
            StartedAt = StartedAt,
            FinishedAt = FinishedAt,
        };
    }

    private string? WaitingForAt(RunPhase phase) => phase switch
    {
        RunPhase.Queued => WaitingFor,
        RunPhase.Gathering g => $"{Rendezvous.Places.Length - g.Addresses.Count} of {Rendezvous.Places.Length} ranks to join",
        RunPhase.Stopping s => $"{s.Remaining.Count} of {Rendezvous.Places.Length} ranks to stop",
        _ => null,
    };

    private string PhaseWord(RunPhase phase) =>
        phase is RunPhase.Running ? Words.Kebab(Progress.Phase.ToString()) : Words.Kebab(phase.GetType().Name);
}
