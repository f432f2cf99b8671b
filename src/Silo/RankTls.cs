using System.Net.Security;
using Phi3VCluster.Tls;
using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Silo;

/// <summary>What ranks show each other: their silos' certificates. A client's is as good as none.</summary>
internal sealed class RankTls(TlsIdentity identity, ILogger log) : IPeerTls
{
    private readonly PeerCheck _silos = new(identity, PeerRole.Silo);

    public void Prepare(SslServerAuthenticationOptions options, Action<string, string> refused) => _silos.Prepare(options, refused);

    public void Prepare(SslClientAuthenticationOptions options, Action<string, string> refused) => _silos.Prepare(options, refused);

    public void Note(string refusal) => log.LogWarning("{Refusal}", refusal);
}
