using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>
/// All that decides the future of a run, as a chain of hashes: the hash after step n follows from the one before it and from n, so that
/// "the same state everywhere" and "each step once" are equalities.
/// </summary>
internal sealed record SimState(ulong Hash, long Step, TrainingStage Stage, long Generation)
{
    public static SimState Start { get; } = new(1, 0, TrainingStage.EvaluateBefore, 0);

    public (long, TrainingStage) Position => (Step, Stage);

    public bool IsTrue => Hash == ChainAt(Step);

    /// <summary>Between the first write of an update and its end: good for nothing.</summary>
    public SimState Torn => this with { Hash = ~Hash };

    public SimState Advance(long totalSteps) => this with
    {
        Hash = Next(Hash, Step + 1),
        Step = Step + 1,
        Stage = Step + 1 == totalSteps ? TrainingStage.Export : TrainingStage.Step,
    };

    private static ulong ChainAt(long step)
    {
        var hash = Start.Hash;
        for (var n = 1; n <= step; n++) hash = Next(hash, n);
        return hash;
    }

    private static ulong Next(ulong hash, long step) => (hash * 6364136223846793005UL) + (ulong)step;
}
