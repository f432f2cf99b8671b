using Phi3VCluster.Training.Native.Kernels;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>What all decoder layers of one pass share.</summary>
/// <param name="Rope">Of every position.</param>
/// <param name="Selection">The rows that the last layer computes; null where all are wanted.</param>
internal sealed record DecoderPass(SequencePack Pack, RopeTable Rope, RowSelection? Selection)
{
    /// <summary>Stands for the weights' values as they are: passes that share it have the same.</summary>
    public object Values { get; init; } = new();

    /// <summary>Seeds of the samples' dropout; null without dropout.</summary>
    public IReadOnlyList<ulong>? DropoutSeeds { get; init; }

    /// <summary>Whose the positions are.</summary>
    public DropoutRows? OfPositions => Of(segment => segment.Length);

    /// <summary>Whose the selected rows are.</summary>
    public DropoutRows? OfRows => Of(segment => segment.Rows.Length);

    /// <summary>Where the pack's sequences lie, for kernels that take them all at once; null where none do.</summary>
    public SequenceBounds? Bounds { get; init; }

    private DropoutRows? Of(Func<Segment, long> count) =>
        DropoutSeeds is { } seeds ? new([.. Pack.Segments.Select(count)], seeds) : null;
}
