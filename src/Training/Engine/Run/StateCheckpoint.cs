using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;

namespace Phi3VCluster.Training.Engine;

/// <summary>A run's state as a checkpoint: what goes into the manifest.</summary>
internal static class StateCheckpoint
{
    /// <summary>This rank's part of a checkpoint of the state as it is.</summary>
    /// <param name="worldSize">Ranks that write a part.</param>
    /// <param name="completes">Whether this one makes it complete.</param>
    public static CheckpointPart PartOf(RunHome home, long generation, int rank, int worldSize, bool completes)
    {
        var step = home.State.Position.Step;
        return new(home.Store.FolderOf(step, generation), step, generation, rank, worldSize, completes ? new(new()
        {
            Run = home.Run,
            Generation = generation,
            Step = step,
            Mode = home.State.IsSharded ? "sharded" : "replicated",
            WorldSize = worldSize,
            Fingerprint = home.Fingerprint,
            Spec = RunSpecJson.ToText(home.Spec),
            Elements = home.State.Parameters.Count,
            Scalars = home.State.Scalars(),
            Files = [],
            WrittenAt = DateTime.UtcNow,
        }, home.State.History(), folder => home.Store.Retain(CheckpointSpec.Of(home.Spec).Keep, kept: folder)) : null);
    }

    /// <summary>Writes what a parked seat holds, unless a checkpoint holds it.</summary>
    /// <returns>Whether one does now.</returns>
    public static bool Keep(RunHome home, long generation)
    {
        home.Writer.Wait();
        if (!IsKept(home, generation)) Write(home, generation);
        return IsKept(home, generation);
    }

    /// <summary>
    /// Writes what a seat holds when it leaves before the end, so that the run can go on where it was: a whole state only, none that a
    /// checkpoint holds already, and of seats that leave together with the same state one alone.
    /// </summary>
    public static void KeepOnLeaving(RunHome home, long generation)
    {
        home.Writer.Wait();
        if (CheckpointSpec.Of(home.Spec).EverySteps == 0 || home.State.Position.Stage == TrainingStage.End) return;
        if (!IsKept(home, generation) && Claim(home.Store.FolderOf(home.State.Position.Step, generation))) Write(home, generation);
    }

    /// <summary>Whether it would be of no use to write it: it is on the disk, or only a part, or the start.</summary>
    private static bool IsKept(RunHome home, long generation) => !home.State.IsWhole || home.State.Position.Step == 0
        || (home.Store.Complete() is [var newest, ..]
            && (newest.Generation, newest.Step).CompareTo((generation, home.State.Position.Step)) >= 0);

    private static void Write(RunHome home, long generation)
    {
        home.Writer.Start(PartOf(home, generation, rank: 0, worldSize: 1, completes: true), home.State.Optimizer.Copy());
        home.Writer.Wait();
    }

    private static bool Claim(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
            using var first = new FileStream(Path.Combine(folder, ".writer"), FileMode.CreateNew);
            return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false; // another seat writes it, or nobody can
        }
    }
}
