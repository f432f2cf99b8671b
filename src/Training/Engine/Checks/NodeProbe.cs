using System.Net.Sockets;
using System.Security.Authentication;
using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Engine.Checks;

/// <summary>This node, by the address, certificate and devices of its ranks. See <see cref="INodeProbe"/> for the contract.</summary>
/// <param name="hasRanks">False: libtorch is not loaded.</param>
/// <param name="usesGpus">False leaves CUDA devices alone.</param>
/// <param name="host">Address under which other nodes reach this one's collectives.</param>
/// <param name="tls">For what ranks say to those of other nodes; null: in the clear.</param>
/// <param name="certificateEnd">When the newest certificate ends; null where there is none.</param>
/// <param name="isLocalToo">False takes nodes of this machine for nodes of another, as they are in another container.</param>
public sealed class NodeProbe(
    bool hasRanks, bool usesGpus, string host, IPeerTls? tls, Func<DateTimeOffset?> certificateEnd, bool isLocalToo = true) : INodeProbe
{
    public DateTimeOffset Now => DateTimeOffset.UtcNow;

    public DateTimeOffset? CertificateEnd => certificateEnd();

    public DeviceReport Devices() => hasRanks ? DeviceReport.OfThisMachine(usesGpus) : DeviceReport.None;

    public IPeerEndpoint Open() => new RingChannels(host, tls, isLocalToo);

    public Reach Reach(string address, CancellationToken stop)
    {
        try
        {
            RingChannels.Go(address, tls, stop).Dispose();
            return new(ReachOutcome.Reached);
        }
        catch (OperationCanceledException)
        {
            return new(ReachOutcome.TimedOut);
        }
        catch (IOException failed)
        {
            var isTls = tls is not null || RingAddress.Parse(address).IsTls;
            return Of(failed.InnerException?.InnerException, failed.Message.TrimEnd('.'), isTls);
        }
    }

    /// <param name="cause">Below what the ring's sockets say of a way that failed.</param>
    /// <param name="message">Theirs.</param>
    /// <param name="isTls">One of both ends asks for it.</param>
    internal static Reach Of(Exception? cause, string message, bool isTls) => cause switch
    {
        SocketException { SocketErrorCode: SocketError.ConnectionRefused } => new(ReachOutcome.Refused),
        SocketException { SocketErrorCode: SocketError.TimedOut } => new(ReachOutcome.TimedOut),
        SocketException lost when RingSockets.IsNetworks(lost.SocketErrorCode) => new(ReachOutcome.NoRoute),
        AuthenticationException refused => new(ReachOutcome.NotTrusted, refused.Message.TrimEnd('.')),
        OperationCanceledException => new(ReachOutcome.TimedOut),
        // Whoever refuses a certificate of TLS 1.3 does so when the other end is done with its handshake: it hangs up.
        _ when isTls => new(ReachOutcome.NotTrusted, message),
        _ => new(ReachOutcome.Failed, message),
    };
}
