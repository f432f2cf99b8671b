namespace Phi3VCluster.Training;

/// <summary>Bytes between two seats, beside the ring: for what no collective carries. One thread sends, one receives.</summary>
public interface IPeerChannel : IDisposable
{
    /// <exception cref="IOException">The peer is gone.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> came first.</exception>
    void Send(ReadOnlySpan<byte> data, CancellationToken stop);

    /// <summary>Fills all of <paramref name="data"/>.</summary>
    /// <exception cref="IOException">The peer is gone.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> came first.</exception>
    void Receive(Span<byte> data, CancellationToken stop);
}

/// <summary>A seat's end for channels to others: whoever was given its address may come.</summary>
public interface IPeerEndpoint : IDisposable
{
    /// <summary>What peers need to reach this end; good as long as the end lives.</summary>
    string Address { get; }

    /// <summary>Waits for the next peer.</summary>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> came first.</exception>
    IPeerChannel Accept(CancellationToken stop);

    /// <param name="address">Of another seat's end.</param>
    /// <exception cref="IOException">Nobody of that address answers.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> came first.</exception>
    IPeerChannel Connect(string address, CancellationToken stop);
}
