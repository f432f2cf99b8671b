using Phi3VCluster.Training;
using Phi3VCluster.Training.Engine.Checks;

namespace Phi3VCluster.Grains.Checks;

/// <summary>Ends of this node that a check has opened: one for each peer, so that one that hangs keeps no other waiting.</summary>
internal sealed class CheckDoors(INodeProbe probe) : IDisposable
{
    /// <summary>Peers are told of them at once.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly CancellationTokenSource _over = new();

    /// <returns>Their addresses.</returns>
    /// <exception cref="Training.Collectives.CollectiveException">This node cannot listen at the address that it gives others.</exception>
    public IReadOnlyList<string> Open(int count)
    {
        _over.CancelAfter(Patience);
        var addresses = new List<string>();
        while (addresses.Count < count)
        {
            var end = probe.Open();
            addresses.Add(end.Address);
            new Thread(() => Answer(end)) { IsBackground = true, Name = "check" }.Start();
        }
        return addresses;
    }

    public void Dispose() => _over.Cancel();

    private void Answer(IPeerEndpoint end)
    {
        using (end)
        {
            try
            {
                using var channel = end.Accept(_over.Token);
                channel.Receive(new byte[1], _over.Token); // until the peer, who has nothing to say, hangs up
            }
            catch (Exception)
            {
                // The peer has gone, or none came; whatever it was, it must not end the silo.
            }
        }
    }
}
