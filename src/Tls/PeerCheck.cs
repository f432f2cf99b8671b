using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Phi3VCluster.Tls;

/// <summary>
/// What an end asks of the other: a certificate of the private authority, in its time, for one of the <paramref name="roles"/>. Host names
/// are not compared: pods change their addresses, and whoever has a silo's key is a silo wherever it is.
/// </summary>
/// <param name="identity">What this end shows of itself, and the authority it believes.</param>
/// <param name="roles">What the other may be.</param>
public sealed class PeerCheck(TlsIdentity identity, params PeerRole[] roles)
{
    private const SslProtocols Protocols = SslProtocols.Tls13;

    private const X509ChainStatusFlags Untrusted =
        X509ChainStatusFlags.PartialChain | X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.NotSignatureValid;

    /// <param name="options">To fill in.</param>
    /// <param name="refused">Told who was refused (the subject, where it has shown one), and why.</param>
    public void Prepare(SslServerAuthenticationOptions options, Action<string, string> refused)
    {
        options.ServerCertificate = identity.Certificate;
        options.ServerCertificateSelectionCallback = null; // Orleans sets one that selects none
        options.ClientCertificateRequired = true;
        options.EnabledSslProtocols = Protocols;
        options.AllowTlsResume = false; // who comes again is asked again
        options.CertificateChainPolicy = identity.NewPolicy();
        options.RemoteCertificateValidationCallback = Callback(refused);
    }

    /// <inheritdoc cref="Prepare(SslServerAuthenticationOptions, Action{string, string})"/>
    public void Prepare(SslClientAuthenticationOptions options, Action<string, string> refused)
    {
        var certificate = identity.Certificate;
        options.TargetHost = "phi3v";
        options.LocalCertificateSelectionCallback = (_, _, _, _, _) => certificate;
        options.EnabledSslProtocols = Protocols;
        options.AllowTlsResume = false;
        options.CertificateChainPolicy = identity.NewPolicy();
        options.RemoteCertificateValidationCallback = Callback(refused);
    }

    private RemoteCertificateValidationCallback Callback(Action<string, string> refused) => (_, shown, chain, errors) =>
    {
        using var certificate = shown is null ? null : X509CertificateLoader.LoadCertificate(shown.GetRawCertData());
        if (Refuse(certificate, chain, errors) is not { } reason) return true;
        refused(certificate is null ? "" : Printable(certificate.Subject), reason);
        return false;
    };

    private string? Refuse(X509Certificate2? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (certificate is null) return "it shows no certificate";
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors) || chain is null) return Chain(certificate, chain);
        return PeerRoles.Of(certificate) is { } role && roles.Contains(role)
            ? null
            : $"it shows {TlsIdentity.Said(PeerRoles.Of(certificate))}, and must be a {string.Join(" or a ", roles.Select(r => r.Word()))}";
    }

    internal static string Chain(X509Certificate2 certificate, X509Chain? chain)
    {
        var status = (chain?.ChainStatus ?? []).Aggregate(X509ChainStatusFlags.NoError, (all, one) => all | one.Status);
        if ((status & Untrusted) != 0)
            return $"its certificate is of another authority, {Printable(certificate.Issuer)}";
        return status.HasFlag(X509ChainStatusFlags.NotTimeValid)
            ? $"its certificate is valid from {certificate.NotBefore.ToUniversalTime():u} to {certificate.NotAfter.ToUniversalTime():u}"
            : $"its certificate does not hold ({status})";
    }

    /// <summary>The other end has written it, and it goes into a log.</summary>
    internal static string Printable(string text) => string.Concat(text.Take(200).Select(c => char.IsControl(c) ? '?' : c));
}
