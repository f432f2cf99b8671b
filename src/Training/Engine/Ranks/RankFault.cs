using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Engine;

/// <summary>A rank cannot go on, for a reason that the user should read; it names the step and the samples where it knows them.</summary>
/// <param name="kind">Whom it concerns; as a rule every rank meets the same.</param>
public sealed class RankFault(string message, Exception? inner = null, FaultKind kind = FaultKind.Run) : Exception(message, inner)
{
    public FaultKind Kind => kind;

    /// <summary>
    /// Whom an exception concerns. A connection tells of somebody else; a device or memory that fails is this machine's; everything else
    /// (files, data, arithmetic) would be met on any.
    /// </summary>
    public static FaultKind KindOf(Exception error) => error switch
    {
        RankFault fault => fault.Kind,
        CollectiveException => FaultKind.Echo,
        StreamException or OutOfMemoryException => FaultKind.Seat,
        LibTorchException when error.Message.Contains("CUDA", StringComparison.Ordinal) => FaultKind.Seat,
        _ => FaultKind.Run,
    };
}
