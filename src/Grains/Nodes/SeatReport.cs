using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Nodes;

/// <summary>A seat's progress as it travels. The enums on both sides are the same lists; a test compares them.</summary>
internal static class SeatReport
{
    public static bool HasEnded(RankProgress seat) => seat.Phase is RankPhase.Failed or RankPhase.Stopped;

    public static RankReport Of(RankProgress p) => new()
    {
        Seat = p.Id.Seat,
        Phase = (ReportedPhase)p.Phase,
        Generation = p.Generation,
        Rank = p.Rank,
        Device = p.Device,
        Offer = p.Offer is { } offer
            ? new(offer.Address, offer.Generation, offer.Step, (ReportedStage)offer.Stage, offer.IsLive, offer.Fingerprint,
                offer.Courier, [.. (offer.Held ?? []).Select(Of)])
            : null,
        Fault = (ReportedFault)p.Fault,
        Error = p.Error,
        BadPeer = p.BadPeer,
        BadPeerMayBeGone = p.BadPeerMayBeGone,
        Step = p.Step,
        TotalSteps = p.TotalSteps,
        Epoch = p.Epoch,
        Loss = p.Loss,
        LearningRate = p.LearningRate,
        GradNorm = p.GradNorm,
        ImagesPerSecond = p.ImagesPerSecond,
        EvalBefore = p.EvalBefore,
        EvalAfter = p.EvalAfter,
        TrainSeconds = p.TrainSeconds,
        StepSeconds = p.StepSeconds,
        Notes = p.Notes,
        Part = p.Part is { } part ? new(part.Unit, part.Done, part.Total) : null,
        CheckpointStep = p.CheckpointStep,
        Entered = p.Entered,
    };

    private static ReportedShards Of(HeldShards held) =>
        new(held.Version.Generation, held.Version.Step, (ReportedStage?)held.Stage, held.WorldSize, held.Ranks);
}
