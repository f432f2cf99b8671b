using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Protocol;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Runs;

/// <summary>What a run's grain knows, and stores whenever the protocol moves on.</summary>
internal sealed class StoredRun
{
    /// <summary>Counts what a reader of an earlier build could not make sense of. Format 1 is stored under another name.</summary>
    public const int ThisFormat = 2;

    public int Format { get; set; } = ThisFormat;
    /// <summary>Null until the run was submitted.</summary>
    public QueuedRun? Submitted { get; set; }
    /// <summary>Kind of device that all seats have, from the first lease on.</summary>
    public string? Device { get; set; }
    /// <summary>All seats that the run ever had: a node of one of them writes down its end.</summary>
    public IReadOnlyList<SeatPlace> Places { get; set; } = [];
    public Rendezvous Rendezvous { get; set; } = Rendezvous.New(new(1, 1));
    public RunProgress Progress { get; set; } = new();
    public RunLog Log { get; set; } = RunLog.Empty;
    public string? WaitingFor { get; set; }
    public DateTimeOffset? StartedAt { get; set; }
    public DateTimeOffset? FinishedAt { get; set; }

    public RunStatus StatusAt(DateTimeOffset now, RunSpec spec, Heard heard)
    {
        var phase = Rendezvous.Phase;
        return new()
        {
            Run = Submitted!.Run,
            Name = spec.Name,
            State = phase.State,
            Phase = PhaseText.Phase(Rendezvous, heard, Progress),
            Step = Progress.Step,
            TotalSteps = Progress.TotalSteps,
            Epoch = Progress.Epoch,
            Epochs = spec.Epochs,
            Loss = Progress.Loss,
            LearningRate = Progress.LearningRate,
            GradNorm = Progress.GradNorm,
            ImagesPerSecond = Progress.ImagesPerSecond,
            WorldSize = Rendezvous.Members.Length,
            Generation = Rendezvous.Generation,
            WaitingFor = phase is RunPhase.Queued ? WaitingFor : PhaseText.WaitingFor(Rendezvous, heard, now),
            Error = phase is RunPhase.Failed failed ? failed.Error : null,
            Nodes = Nodes(),
            Metric = spec.Data.Eval is null && Progress.EvalBefore is null && Progress.EvalAfter is null ? null : spec.Evaluation.Metric,
            EvalBefore = Progress.EvalBefore,
            EvalAfter = Progress.EvalAfter,
            Output = Submitted.Output,
            Seconds = StartedAt is { } started ? ((FinishedAt ?? now) - started).TotalSeconds : 0,
            TrainSeconds = Progress.TrainSeconds,
            StepSeconds = Progress.StepSeconds,
            Notes = Progress.Notes,
            Part = phase is RunPhase.Running ? Progress.Part : null,
            SubmittedAt = Submitted.SubmittedAt,
            StartedAt = StartedAt,
            FinishedAt = FinishedAt,
            Generations = Rendezvous.History,
            Life = Submitted.Life,
            SeatsNumbered = Rendezvous.NextSeat,
            CheckpointStep = Progress.CheckpointStep,
            Priority = spec.Cluster.Priority,
        };
    }

    /// <summary>The ranks of the newest generation, by node.</summary>
    private IReadOnlyList<NodeRanks> Nodes()
    {
        var nodes = Places.ToDictionary(place => place.Seat);
        return
        [
            .. Rendezvous.Members.Select((member, rank) => (nodes[member.Seat].Node, nodes[member.Seat].Silo, Rank: rank))
                .GroupBy(rank => (rank.Node, rank.Silo))
                .Select(node => new NodeRanks(node.Key.Node, node.Key.Silo, [.. node.Select(rank => rank.Rank)])),
        ];
    }
}
