using static TorchSharp.torch;

namespace Phi3VCluster.Training;

/// <summary>A sum over the ranks on its way beside the rank's own work.</summary>
public interface IPendingSum
{
    /// <summary>Blocks until the sum is there, or throws what ended it; a second call too. Rank's thread only.</summary>
    void Wait();
}

/// <summary>Begins to sum a buffer (1-D, float32, contiguous) over the ranks; it is left alone, and alive, until then.</summary>
/// <param name="half">How numbers travel; null: as they are.</param>
public delegate IPendingSum BeginSum(Tensor buffer, HalfSum? half);

/// <summary>
/// Numbers of a sum travel in 16 bits and are added in float32 at every rank they come to. What rounding leaves out there is added to the
/// next sum instead of being lost: error feedback (Seide et al., 2014; Karimireddy et al., 2019).
/// </summary>
/// <param name="Type">BFloat16 or Float16.</param>
/// <param name="Left">As many float32 as the buffer has, on the CPU: what this rank's roundings left out. Zero at first.</param>
public sealed record HalfSum(ScalarType Type, Tensor Left);

/// <summary>A sum that was made when it was begun.</summary>
public sealed class DoneSum : IPendingSum
{
    private DoneSum()
    {
    }

    public static DoneSum Instance { get; } = new();

    public void Wait()
    {
    }
}
