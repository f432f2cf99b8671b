using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Tls;

/// <summary>
/// What is asked of a server that is none of ours, a Redis for example: a certificate in its time, for a server, with the name that it was
/// asked by; of a private authority, or of one that the system believes.
/// </summary>
public sealed class ServerCheck
{
    private static readonly Oid ServerUsage = new("1.3.6.1.5.5.7.3.1");

    private readonly string? _authority;
    private X509Certificate2Collection _known = [];

    /// <param name="authority">File of the only ones that are believed; null: the system's. Read now, and again at each connection.</param>
    /// <exception cref="InputException">It holds no certificates.</exception>
    public ServerCheck(string? authority)
    {
        _authority = authority;
        if (authority is not null) _known = TlsIdentity.LoadAuthority(authority);
    }

    /// <summary>As a <see cref="RemoteCertificateValidationCallback"/> is asked.</summary>
    /// <returns>Why it is not believed; null if it is.</returns>
    public string? Refuse(X509Certificate? shown, X509Chain? chain, SslPolicyErrors errors)
    {
        if (shown is null) return "it shows no certificate";
        using var certificate = X509CertificateLoader.LoadCertificate(shown.GetRawCertData());
        if (_authority is null && errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors)) return PeerCheck.Chain(certificate, chain);
        if (_authority is not null)
        {
            using var own = new X509Chain { ChainPolicy = TlsIdentity.PolicyOf(Newest(_authority)) };
            own.ChainPolicy.ApplicationPolicy.Add(ServerUsage);
            foreach (var sent in chain?.ChainPolicy.ExtraStore ?? []) own.ChainPolicy.ExtraStore.Add(sent);
            if (!own.Build(certificate)) return PeerCheck.Chain(certificate, own);
        }
        return errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch)
            ? $"its certificate, {PeerCheck.Printable(certificate.Subject)}, is not for the name that it was asked by"
            : null;
    }

    private X509Certificate2Collection Newest(string authority)
    {
        try
        {
            return _known = TlsIdentity.LoadAuthority(authority);
        }
        catch (InputException) // half written: the next connection looks again
        {
            return _known;
        }
    }
}
