namespace Phi3VCluster.Training.Collectives;

/// <summary>A piece of memory on its way around the ring.</summary>
/// <param name="Data">First byte.</param>
/// <param name="Bytes">Length; whole numbers if summed.</param>
/// <param name="Sum">What arrives is added to what is here; otherwise it replaces it.</param>
internal readonly unsafe record struct RingSegment(nint Data, long Bytes, bool Sum);
