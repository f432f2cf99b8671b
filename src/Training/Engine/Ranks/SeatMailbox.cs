using System.Collections.Concurrent;

namespace Phi3VCluster.Training.Engine;

/// <summary>What a seat's thread has been told to do next, in order.</summary>
internal sealed class SeatMailbox
{
    private readonly BlockingCollection<SeatTask> _orders = [];

    public void Add(SeatTask order) => _orders.Add(order);

    /// <summary>Waits for the next one.</summary>
    /// <exception cref="OperationCanceledException">The seat is to leave.</exception>
    public SeatTask Take(CancellationToken stop) => _orders.Take(stop);
}

/// <summary>A thing that a parked or finished seat does.</summary>
internal abstract record SeatTask
{
    private SeatTask() { } // closed: only the records below

    public sealed record Join(Assignment Assignment, GenerationAbort Abort) : SeatTask;

    /// <summary>What a parked seat has come to is to be on the disk.</summary>
    public sealed record Keep : SeatTask;

    /// <summary>A finished seat is needed again.</summary>
    public sealed record Park : SeatTask;
}
