namespace Phi3VCluster.Training;

/// <summary>A state of a run between two steps, as the ranks of a generation came to it together.</summary>
/// <param name="Step">Committed steps in it.</param>
public readonly record struct StateVersion(long Generation, long Step) : IComparable<StateVersion>
{
    public int CompareTo(StateVersion other) => (Generation, Step).CompareTo((other.Generation, other.Step));

    public override string ToString() => $"step {Step} of generation {Generation}";
}
