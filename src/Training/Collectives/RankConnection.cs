using System.Net.Sockets;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// A connection to another rank, in the clear or encrypted. Nothing blocks but <see cref="Send"/>. One thread at a time works;
/// <see cref="Shutdown"/> may come from any.
/// </summary>
internal abstract class RankConnection : IDisposable
{
    /// <summary>What <see cref="TryReceive"/> answers when nothing more will come.</summary>
    public const int Gone = -1;

    protected RankConnection(Socket socket)
    {
        Socket = socket;
        Socket.Blocking = false;
    }

    /// <summary>To wait at, together with others.</summary>
    public Socket Socket { get; }

    /// <summary>Whether all that <see cref="TrySend"/> took is the kernel's.</summary>
    public virtual bool IsFlushed => true;

    /// <returns>Bytes taken; 0 when there is no room. A call without data goes on with what was taken before.</returns>
    /// <exception cref="SocketException">The connection broke.</exception>
    /// <exception cref="IOException">The other end says what it must not.</exception>
    public abstract int TrySend(ReadOnlySpan<byte> data);

    /// <returns>
    /// Bytes received; 0 when none are there yet, and none can be before the socket is readable; or <see cref="Gone"/>.
    /// </returns>
    /// <inheritdoc cref="TrySend" path="/exception"/>
    public abstract int TryReceive(Span<byte> data);

    /// <summary>Returns when the kernel has all of it.</summary>
    /// <param name="stop">Ends the wait for room.</param>
    /// <inheritdoc cref="TrySend" path="/exception"/>
    public void Send(ReadOnlySpan<byte> data, CancellationToken stop = default)
    {
        while (data.Length > 0 || !IsFlushed)
        {
            var sent = TrySend(data);
            data = data[sent..];
            if (sent > 0) continue;
            stop.ThrowIfCancellationRequested();
            Socket.Poll(RingSockets.PollInterval, SelectMode.SelectWrite);
        }
    }

    public void Shutdown(SocketShutdown how)
    {
        try
        {
            Socket.Shutdown(how);
        }
        catch (Exception gone) when (gone is SocketException or ObjectDisposedException)
        {
            // The peer has hung up already, or the connection is disposed: broken is broken.
        }
    }

    public virtual void Dispose() => Socket.Dispose();
}
