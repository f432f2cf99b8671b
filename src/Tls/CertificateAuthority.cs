using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Phi3VCluster.Tls;

/// <summary>A private authority that certifies silos and clients. Keys are ECDSA on P-256.</summary>
public sealed class CertificateAuthority
{
    private static readonly TimeSpan ClockSkew = TimeSpan.FromMinutes(5); // the others' clocks may be behind

    private const string ServerUsage = "1.3.6.1.5.5.7.3.1", ClientUsage = "1.3.6.1.5.5.7.3.2";

    private readonly X509Certificate2 _certificate;

    private CertificateAuthority(X509Certificate2 certificate) => _certificate = certificate;

    public DateTimeOffset Expiry => new(_certificate.NotAfter.ToUniversalTime());

    public string CertificatePem => _certificate.ExportCertificatePem();

    public string KeyPem => _certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem();

    public static CertificateAuthority Create(string name, TimeSpan life)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(Subject(name), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        var now = DateTimeOffset.UtcNow;
        return new(request.CreateSelfSigned(now - ClockSkew, now + life));
    }

    /// <exception cref="CryptographicException">They are no pair.</exception>
    public static CertificateAuthority FromPem(string certificate, string key) => new(X509Certificate2.CreateFromPem(certificate, key));

    /// <param name="name">Of its holder.</param>
    /// <param name="role">What it is for.</param>
    /// <param name="from">Start of its life.</param>
    /// <param name="until">End of its life; no later than the authority's.</param>
    /// <returns>Certificate and key.</returns>
    public (string CertificatePem, string KeyPem) Issue(string name, PeerRole role, DateTimeOffset from, DateTimeOffset until)
    {
        var uri = new SubjectAlternativeNameBuilder();
        uri.AddUri(new Uri(role.Uri()));
        return Issue(name, uri, role == PeerRole.Silo ? [new(ServerUsage), new(ClientUsage)] : [new(ClientUsage)], from, until);
    }

    private (string CertificatePem, string KeyPem) Issue(
        string name, SubjectAlternativeNameBuilder names, OidCollection usages, DateTimeOffset from, DateTimeOffset until)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(Subject(name), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(usages, true));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(_certificate, true, false));
        using var issued = request.Create(_certificate, from, until, RandomNumberGenerator.GetBytes(16));
        return (issued.ExportCertificatePem(), key.ExportPkcs8PrivateKeyPem());
    }

    /// <inheritdoc cref="Issue(string, PeerRole, DateTimeOffset, DateTimeOffset)"/>
    public (string CertificatePem, string KeyPem) Issue(string name, PeerRole role, TimeSpan life) =>
        Issue(name, role, From(), Until(life));

    /// <summary>For a server that is no silo, a Redis or a silo's page: clients ask it for its name, and it has no role.</summary>
    /// <param name="host">Name or address that others reach it at.</param>
    /// <param name="life">No longer than the authority's.</param>
    /// <returns>Certificate and key.</returns>
    public (string CertificatePem, string KeyPem) IssueServer(string host, TimeSpan life)
    {
        var names = new SubjectAlternativeNameBuilder();
        if (IPAddress.TryParse(host, out var address)) names.AddIpAddress(address);
        else names.AddDnsName(host);
        return Issue(host, names, [new(ServerUsage)], From(), Until(life));
    }

    private DateTimeOffset From()
    {
        var (start, earliest) = (DateTimeOffset.UtcNow - ClockSkew, new DateTimeOffset(_certificate.NotBefore.ToUniversalTime()));
        return start < earliest ? earliest : start;
    }

    private DateTimeOffset Until(TimeSpan life) => DateTimeOffset.UtcNow + life < Expiry ? DateTimeOffset.UtcNow + life : Expiry;

    private static X500DistinguishedName Subject(string name)
    {
        var builder = new X500DistinguishedNameBuilder();
        builder.AddCommonName(name);
        return builder.Build();
    }
}
