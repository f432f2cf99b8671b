using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Collectives;

internal enum RingOperationKind { AllReduce = 1, ReduceScatter = 2, AllGather = 3 }

/// <summary>
/// Goes ahead of an operation's data. Ranks that disagree about what they are doing find out here and not by waiting for each
/// other's bytes for ever.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct RingOperation(RingOperationKind Kind, int ElementBytes, long Number, long Elements)
{
    /// <summary>Size on the wire.</summary>
    public const int Bytes = 24;

    public override string ToString() => $"{Word} of {Elements} elements of {ElementBytes} bytes as operation {Number}";

    private string Word => Kind switch
    {
        RingOperationKind.AllReduce => "all-reduce",
        RingOperationKind.ReduceScatter => "reduce-scatter",
        RingOperationKind.AllGather => "all-gather",
        _ => $"unknown operation {(int)Kind}",
    };
}
