using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Tls;

/// <summary>
/// Who this process is to others, and whom it believes. Files that are replaced, as cert-manager does long before a certificate ends, are
/// read again at the next connection; those that cannot be read leave things as they were.
/// </summary>
public sealed class TlsIdentity
{
    private sealed record Loaded(X509Certificate2 Certificate, X509Certificate2Collection Authority, DateTime[] Written);

    private readonly TlsFiles _files;
    private readonly Lock _reading = new();
    private volatile Loaded _loaded;

    /// <param name="files">Read now.</param>
    /// <param name="roles">What the certificate may be for.</param>
    /// <exception cref="InputException">A file cannot be used, or the certificate is not for that; which, and why.</exception>
    public TlsIdentity(TlsFiles files, params PeerRole[] roles)
    {
        _files = files;
        var written = WriteTimes();
        _loaded = new(Load(files), LoadAuthority(files.Authority), written);
        if (PeerRoles.Of(Certificate) is not { } role || !roles.Contains(role))
            throw new InputException($"the certificate {files.Certificate}: must be for a "
                + $"{string.Join(" or ", roles.Select(r => r.Word()))}, got {Said(PeerRoles.Of(Certificate))}; "
                + $"take one with the URI {roles[0].Uri()} (`phi3v certs` makes them).");
        if (DateTime.UtcNow > Certificate.NotAfter.ToUniversalTime())
            throw new InputException(
                $"the certificate {files.Certificate}: must not be over, got one that ended {Certificate.NotAfter:u}; renew it.");
    }

    public X509Certificate2 Certificate => Newest().Certificate;

    /// <summary>When the certificate ends.</summary>
    public DateTimeOffset Expiry => new(Certificate.NotAfter.ToUniversalTime());

    /// <summary>What the certificate's holder is called, and may be.</summary>
    public (string Name, PeerRole? Role) Holder => (PeerCheck.Printable(Certificate.Subject), PeerRoles.Of(Certificate));

    /// <summary>Why ends that believe the same authority would refuse this one; null if they would not.</summary>
    public string? Refusal()
    {
        using var chain = new X509Chain { ChainPolicy = NewPolicy() };
        return chain.Build(Certificate) ? null : PeerCheck.Chain(Certificate, chain);
    }

    /// <summary>A new one each time: who verifies by it writes into it.</summary>
    internal X509ChainPolicy NewPolicy() => PolicyOf(Newest().Authority);

    internal static X509ChainPolicy PolicyOf(X509Certificate2Collection authority)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck, // a private authority publishes no list; its certificates are short-lived
            DisableCertificateDownloads = true, // a stranger's certificate must not tell us where to connect to
        };
        policy.CustomTrustStore.AddRange(authority);
        return policy;
    }

    internal static string Said(PeerRole? role) => role is { } known ? $"one for a {known.Word()}" : "one for neither silo nor client";

    private Loaded Newest()
    {
        if (WriteTimes().SequenceEqual(_loaded.Written)) return _loaded;
        lock (_reading)
        {
            var written = WriteTimes();
            if (written.SequenceEqual(_loaded.Written)) return _loaded;
            try
            {
                return _loaded = new(Load(_files), LoadAuthority(_files.Authority), written);
            }
            catch (InputException) // half of the files are new: the next connection looks again
            {
                return _loaded;
            }
        }
    }

    private DateTime[] WriteTimes() => [WriteTime(_files.Certificate), WriteTime(_files.Key), WriteTime(_files.Authority)];

    /// <summary>Of the file that a link leads to: Kubernetes replaces links.</summary>
    private static DateTime WriteTime(string path)
    {
        try
        {
            return (File.ResolveLinkTarget(path, returnFinalTarget: true) ?? new FileInfo(path)).LastWriteTimeUtc;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return default;
        }
    }

    private static X509Certificate2 Load(TlsFiles files)
    {
        var (certificate, key) = (Text("certificate", files.Certificate), Text("key", files.Key));
        try
        {
            return X509Certificate2.CreateFromPem(certificate, key);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new InputException($"the certificate {files.Certificate} and the key {files.Key}: must be a pair in PEM, the key not "
                + $"encrypted, got: {e.Message.TrimEnd('.')}; give the two that belong together.");
        }
    }

    internal static X509Certificate2Collection LoadAuthority(string path)
    {
        var (text, found) = (Text("authority", path), new X509Certificate2Collection());
        try
        {
            found.ImportFromPem(text);
        }
        catch (CryptographicException e)
        {
            throw new InputException($"the authority {path}: must be certificates in PEM, got: {e.Message.TrimEnd('.')}; give others.");
        }
        return found.Count > 0
            ? found
            : throw new InputException($"the authority {path}: must be certificates in PEM, got none; give its certificate.");
    }

    private static string Text(string what, string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"the {what} {path}: must be a readable file, got: {e.Message.TrimEnd('.')}; correct its path.");
        }
    }
}
