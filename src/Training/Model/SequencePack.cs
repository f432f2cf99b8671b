using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>A sequence's place in a pack.</summary>
/// <param name="Start">Its first position in the pack.</param>
/// <param name="FirstRow">Where its rows begin among all rows of the pack.</param>
/// <param name="Rows">Positions within the sequence whose outputs are wanted, ascending.</param>
internal sealed record Segment(long Start, long Length, long FirstRow, long[] Rows);

/// <summary>
/// Sequences of any lengths laid end to end: linear maps see one tall matrix, nothing is padded, and attention stays within each segment.
/// </summary>
internal sealed class SequencePack
{
    public SequencePack(IEnumerable<(long[] Ids, long[] Rows)> sequences)
    {
        var (ids, segments, rows) = (new List<long>(), new List<Segment>(), 0L);
        foreach (var (own, wanted) in sequences)
        {
            segments.Add(new(ids.Count, own.Length, rows, wanted));
            ids.AddRange(own);
            rows += wanted.Length;
        }
        (Ids, Segments) = ([.. ids], segments);
    }

    public long[] Ids { get; }

    public IReadOnlyList<Segment> Segments { get; }

    /// <summary>Positions in the pack whose outputs are wanted.</summary>
    public long[] Rows => [.. Segments.SelectMany(segment => segment.Rows.Select(row => segment.Start + row))];
}

/// <summary>The rows of a pack that the last layer computes, and what each may attend to.</summary>
/// <param name="Positions">[R] int64, in the pack.</param>
/// <param name="Visible">For each segment [its rows, its length] bool; null where its only row is the last position, which sees everything.</param>
internal sealed record RowSelection(Tensor Positions, IReadOnlyList<Tensor?> Visible)
{
    public static RowSelection Of(SequencePack pack, Device device) =>
        new(tensor(pack.Rows, device: device), [.. pack.Segments.Select(segment => VisibleTo(segment, device))]);

    private static Tensor? VisibleTo(Segment segment, Device device) => segment.Rows is [var only] && only == segment.Length - 1
        ? null
        : ScalarOps.Range(segment.Length, 1, ScalarType.Int64, device).unsqueeze(0).le(tensor(segment.Rows, device: device).unsqueeze(1));
}
