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
    /// <param name="roundedUp">
    /// The length that a sequence is filled up to, with any id: no position sees what follows it, and nothing is learnt where no row looks.
    /// </param>
    public SequencePack(IEnumerable<(long[] Ids, long[] Rows)> sequences, Func<int, int>? roundedUp = null)
    {
        var (ids, segments, rows) = (new List<long>(), new List<Segment>(), 0L);
        foreach (var (own, wanted) in sequences)
        {
            var length = roundedUp?.Invoke(own.Length) ?? own.Length;
            segments.Add(new(ids.Count, length, rows, wanted));
            ids.AddRange(own);
            ids.AddRange(new long[length - own.Length]);
            rows += wanted.Length;
        }
        (Ids, Segments) = ([.. ids], segments);
    }

    /// <summary>[L], sequence behind sequence; what fills a length up is id 0.</summary>
    public long[] Ids { get; }

    /// <summary>One a sequence, in order.</summary>
    public IReadOnlyList<Segment> Segments { get; }

    /// <summary>Positions in the pack whose outputs are wanted.</summary>
    public long[] Rows => [.. Segments.SelectMany(segment => segment.Rows.Select(row => segment.Start + row))];
}

/// <summary>The rows of a pack that the last layer computes, and what each may attend to.</summary>
/// <param name="Positions">[R] int64, in the pack.</param>
/// <param name="Visible">
/// For each segment [its rows, its length] bool; null where its only row is the last position, which sees everything.
/// </param>
internal sealed record RowSelection(Tensor Positions, IReadOnlyList<Tensor?> Visible)
{
    /// <summary>The rows that the pack wants; each sees its own sequence up to itself.</summary>
    public static RowSelection Of(SequencePack pack, Device device) =>
        new(tensor(pack.Rows, device: device), [.. pack.Segments.Select(segment => VisibleTo(segment, device))]);

    private static Tensor? VisibleTo(Segment segment, Device device) => segment.Rows is [var only] && only == segment.Length - 1
        ? null
        : ScalarOps.Range(segment.Length, 1, ScalarType.Int64, device).unsqueeze(0).le(tensor(segment.Rows, device: device).unsqueeze(1));
}
