namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// A buffer of float32 whose numbers travel in 16 bits, from and to a copy as large that goes around the ring in its place. Each number is
/// rounded once a rank that passes it on; what that leaves out stays with the rank, for its next sum.
/// </summary>
/// <param name="buffer">The rank's own numbers; in the end its sums.</param>
/// <param name="left">What earlier roundings left out, for every number of the buffer.</param>
/// <param name="travelling">As many 16-bit numbers.</param>
/// <param name="own">The part that this rank sums up last.</param>
/// <param name="isHandedOn">Whether the others get that part from it, and this rank takes what it hands on: the same bits for all.</param>
internal sealed unsafe class RingHalves(
    IHalfFormat format, float* buffer, float* left, ushort* travelling, ShardRange own, bool isHandedOn) : IRingNumbers
{
    private const int Block = 2048; // three of them are in the innermost cache

    /// <summary>Rounds a part that begins its way here.</summary>
    public void Leave(ShardRange part) => Each(part.Offset, part.Count, null);

    public void Add(byte* here, byte* arrived, long count) => Each((ushort*)here - travelling, count, (ushort*)arrived);

    /// <summary>A part has come around whole.</summary>
    public void Take(ShardRange part) => format.Widen(travelling + part.Offset, buffer + part.Offset, part.Count);

    private void Each(long offset, long count, ushort* arrived)
    {
        for (long done = 0; done < count; done += Block)
            Round(offset + done, (int)Math.Min(Block, count - done), arrived is null ? null : arrived + done);
    }

    private void Round(long at, int count, ushort* arrived)
    {
        float* exact = stackalloc float[Block], rounded = stackalloc float[Block];
        if (arrived is null) new Span<float>(exact, count).Clear();
        else format.Widen(arrived, exact, count);
        Float32Sum.Add(exact, buffer + at, count);
        Float32Sum.Add(exact, left + at, count);
        var isOwn = at >= own.Offset && at < own.End;
        if (isOwn && !isHandedOn)
        {
            new Span<float>(exact, count).CopyTo(new(buffer + at, count));
            new Span<float>(left + at, count).Clear();
            return;
        }
        format.Round(exact, travelling + at, count);
        format.Widen(travelling + at, rounded, count);
        // A gradient that is not finite is for the vote; it must not stay for the steps after.
        for (var i = 0; i < count; i++) left[at + i] = float.IsFinite(rounded[i]) ? exact[i] - rounded[i] : 0;
        if (isOwn) new Span<float>(rounded, count).CopyTo(new(buffer + at, count));
    }
}
