using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// The most memory that this process held while seats of one run computed in it on the CPU: they share it. It cannot be told where two
/// runs were there at once.
/// </summary>
internal static class HostPeak
{
    private static readonly Lock Gate = new();
    private static readonly List<SeatId> Seats = [];
    private static long? _before;

    /// <summary>A seat begins to load.</summary>
    public static void Enter(SeatId seat)
    {
        lock (Gate)
        {
            if (Seats.Count == 0) _before = TryRead(ProcessMemory.ResetPeak);
            else if (Seats.Any(other => other.Run != seat.Run)) _before = null;
            Seats.Add(seat);
        }
    }

    /// <summary>It has freed what it had.</summary>
    public static void Leave(SeatId seat)
    {
        lock (Gate) Seats.Remove(seat);
    }

    /// <returns>Bytes that were resident before the first seat, and at most since; null where that cannot be told.</returns>
    public static (long Before, long Peak, int Seats)? Read()
    {
        lock (Gate) return _before is { } before && TryRead(ProcessMemory.Peak) is { } peak ? (before, peak, Seats.Count) : null;
    }

    private static long? TryRead(Func<long> read)
    {
        try
        {
            return read();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
