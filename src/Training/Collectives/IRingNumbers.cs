namespace Phi3VCluster.Training.Collectives;

/// <summary>What travels around the ring in a sum, and how what arrives is added to what is here.</summary>
internal unsafe interface IRingNumbers
{
    /// <summary>From then on what stands at <paramref name="here"/> may travel on.</summary>
    /// <param name="here">In the segment.</param>
    /// <param name="arrived">As many numbers of the previous rank's.</param>
    void Add(byte* here, byte* arrived, long count);
}
