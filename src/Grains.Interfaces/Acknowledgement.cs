namespace Phi3VCluster.Grains.Interfaces;

/// <summary>What became of a message.</summary>
[GenerateSerializer, Alias("phi3v.Answer")]
public enum Acknowledgement
{
    Accepted,
    /// <summary>Of a phase that is over; nothing was changed, and the sender must stop acting on it.</summary>
    Stale,
}
