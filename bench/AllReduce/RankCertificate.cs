using System.Net.Security;
using Phi3VCluster.Tls;
using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Bench.AllReduce;

/// <summary>What a rank shows another, as its silo has it, from the files of a folder.</summary>
internal sealed class RankCertificate(string folder) : IPeerTls
{
    private readonly PeerCheck _silos = new(new TlsIdentity(Files(folder), PeerRole.Silo), PeerRole.Silo);

    public static void Make(string folder)
    {
        var (files, authority) = (Files(folder), CertificateAuthority.Create("bench", TimeSpan.FromDays(2)));
        var (certificate, key) = authority.Issue("rank", PeerRole.Silo, TimeSpan.FromDays(1));
        File.WriteAllText(files.Certificate, certificate);
        File.WriteAllText(files.Key, key);
        File.WriteAllText(files.Authority, authority.CertificatePem);
    }

    public void Prepare(SslServerAuthenticationOptions options, Action<string, string> refused) => _silos.Prepare(options, refused);

    public void Prepare(SslClientAuthenticationOptions options, Action<string, string> refused) => _silos.Prepare(options, refused);

    public void Note(string refusal) => Console.Error.WriteLine(refusal);

    private static TlsFiles Files(string folder) =>
        new(Path.Combine(folder, "rank.crt"), Path.Combine(folder, "rank.key"), Path.Combine(folder, "authority.crt"));
}
