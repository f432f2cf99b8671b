using System.Collections.Concurrent;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Phi3VCluster.Tls;
using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Tests.Collectives;

/// <summary>An authority, and ends that show its certificates.</summary>
internal sealed class TestCertificates(string name)
{
    public static readonly TestCertificates Ours = new("ours"), Others = new("others");

    private readonly CertificateAuthority _authority = CertificateAuthority.Create(name, TimeSpan.FromDays(10));

    public TestTls Silo(string holder) => Of(holder, PeerRole.Silo, DateTimeOffset.UtcNow.AddDays(1));

    /// <summary>One that believes this authority, and shows others whatever is asked for.</summary>
    public TestTls Of(string holder, PeerRole role, DateTimeOffset until)
    {
        var silo = _authority.Issue("n", PeerRole.Silo, TimeSpan.FromDays(1));
        var (certificate, key) = _authority.Issue(holder, role, DateTimeOffset.UtcNow.AddMinutes(-4), until);
        return new(Identity(silo.CertificatePem, silo.KeyPem), X509Certificate2.CreateFromPem(certificate, key));
    }

    private TlsIdentity Identity(string certificate, string key)
    {
        var folder = Directory.CreateTempSubdirectory("phi3v-");
        try
        {
            var files = new TlsFiles(
                Path.Combine(folder.FullName, "crt"), Path.Combine(folder.FullName, "key"), Path.Combine(folder.FullName, "ca"));
            File.WriteAllText(files.Certificate, certificate);
            File.WriteAllText(files.Key, key);
            File.WriteAllText(files.Authority, _authority.CertificatePem);
            return new(files, PeerRole.Silo);
        }
        finally
        {
            folder.Delete(recursive: true); // it keeps what it has read
        }
    }
}

/// <summary>As the silo's, but for what it shows.</summary>
internal sealed class TestTls(TlsIdentity identity, X509Certificate2 shown) : IPeerTls
{
    private readonly PeerCheck _silos = new(identity, PeerRole.Silo);

    public X509Certificate2 Shown => shown;

    public ConcurrentQueue<string> Notes { get; } = new();

    public void Prepare(SslServerAuthenticationOptions options, Action<string, string> refused)
    {
        _silos.Prepare(options, refused);
        options.ServerCertificate = shown;
    }

    public void Prepare(SslClientAuthenticationOptions options, Action<string, string> refused)
    {
        _silos.Prepare(options, refused);
        options.LocalCertificateSelectionCallback = (_, _, _, _, _) => shown;
    }

    public void Note(string refusal) => Notes.Enqueue(refusal);
}
