using System.Diagnostics;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// The pauses of a loop that asks a device whether it is done. Most answers come within microseconds, which a sleeping thread would
/// miss by a millisecond; whoever waits longer waits for a peer, and must not hold a core.
/// </summary>
internal struct Patience()
{
    private static readonly TimeSpan Awake = TimeSpan.FromMilliseconds(20);

    private readonly long _start = Stopwatch.GetTimestamp();

    public readonly void Once()
    {
        if (Stopwatch.GetElapsedTime(_start) < Awake) Thread.Yield();
        else Thread.Sleep(1);
    }
}
