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
        return new(home.Store.FolderOf(step, generation), rank, worldSize, completes ? new(home.Store, new()
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
        }, home.State.History(), CheckpointSpec.Of(home.Spec).Keep) : null);
    }

    /// <summary>
    /// Writes what a seat holds when it leaves before the end, so that the run can go on where it was: a whole state only, none that a
    /// checkpoint holds already, and of seats that leave together with the same state one alone.
    /// </summary>
    public static void Keep(RunHome home, long generation)
    {
        var (spec, state, step) = (CheckpointSpec.Of(home.Spec), home.State, home.State.Position.Step);
        home.Writer.Wait();
        if (spec.EverySteps == 0 || !state.IsWhole || step == 0 || state.Position.Stage == TrainingStage.End) return;
        if (home.Store.Complete() is [var newest, ..] && (newest.Generation, newest.Step).CompareTo((generation, step)) >= 0) return;
        var folder = home.Store.FolderOf(step, generation);
        if (!Claim(folder)) return;
        home.Writer.Start(PartOf(home, generation, rank: 0, worldSize: 1, completes: true), state.Optimizer.Copy());
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
