using Phi3VCluster.Tls;

namespace Phi3VCluster.Grains.Tests.Processes;

/// <summary>An authority and files of its certificates, in a folder of its own.</summary>
internal sealed class Certificates(string folder, string name = "authority")
{
    private readonly CertificateAuthority _authority = CertificateAuthority.Create(name, TimeSpan.FromDays(10));

    public TlsFiles Of(string holder, PeerRole role) => Write(holder, _authority.Issue(holder, role, TimeSpan.FromDays(1)));

    public TlsFiles Of(string holder, PeerRole role, DateTimeOffset until) =>
        Write(holder, _authority.Issue(holder, role, DateTimeOffset.UtcNow.AddMinutes(-4), until));

    /// <summary>Of a server that is no silo.</summary>
    public TlsFiles Server(string host) => Write(host, _authority.IssueServer(host, TimeSpan.FromDays(1)));

    /// <summary>As options of a silo.</summary>
    public string[] Silo(string holder) => Options(Of(holder, PeerRole.Silo));

    public static string[] Options(TlsFiles files) =>
        ["--tls-certificate", files.Certificate, "--tls-key", files.Key, "--tls-authority", files.Authority];

    private TlsFiles Write(string holder, (string Certificate, string Key) made)
    {
        var place = Directory.CreateDirectory(Path.Combine(folder, $"{name}-{holder}")).FullName;
        var files = new TlsFiles(Path.Combine(place, "tls.crt"), Path.Combine(place, "tls.key"), Path.Combine(place, "ca.crt"));
        File.WriteAllText(files.Authority, _authority.CertificatePem);
        File.WriteAllText(files.Key, made.Key);
        File.WriteAllText(files.Certificate, made.Certificate);
        return files;
    }
}
