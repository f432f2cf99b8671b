using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Silo.Http;

/// <summary>
/// What browsers and scrapers are shown. Files that are replaced are read again at the next connection; those that cannot be read leave
/// things as they were.
/// </summary>
internal sealed class HttpCertificate
{
    private readonly HttpFiles _files;
    private readonly Lock _reading = new();
    private (SslStreamCertificateContext Context, DateTime Written) _loaded;

    /// <param name="files">Read now.</param>
    /// <exception cref="InputException">They cannot be used, or the certificate is over.</exception>
    public HttpCertificate(HttpFiles files)
    {
        _files = files;
        _loaded = (Load(files), Written());
        if (_loaded.Context.TargetCertificate.NotAfter.ToUniversalTime() is var end && end < DateTime.UtcNow)
            throw new InputException($"--http-certificate: must not be over, got {files.Certificate}, which ended {end:u}; renew it.");
    }

    public void Use(ListenOptions listen) => listen.UseHttps(new TlsHandshakeCallbackOptions
    {
        OnConnection = _ => ValueTask.FromResult(new SslServerAuthenticationOptions
        {
            ServerCertificateContext = Newest(),
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        }),
    });

    private SslStreamCertificateContext Newest()
    {
        lock (_reading)
        {
            if (Written() is var written && written == _loaded.Written) return _loaded.Context;
            try
            {
                _loaded = (Load(_files), written);
            }
            catch (InputException)
            {
                // Half of the files are new: the next connection looks again.
            }
            return _loaded.Context;
        }
    }

    private DateTime Written() => new[] { _files.Certificate, _files.Key }
        .Select(path => (File.ResolveLinkTarget(path, returnFinalTarget: true) ?? new FileInfo(path)).LastWriteTimeUtc).Max();

    private static SslStreamCertificateContext Load(HttpFiles files)
    {
        try
        {
            var all = new X509Certificate2Collection();
            all.ImportFromPemFile(files.Certificate);
            using var own = X509Certificate2.CreateFromPemFile(files.Certificate, files.Key);
            return SslStreamCertificateContext.Create(
                X509CertificateLoader.LoadPkcs12(own.Export(X509ContentType.Pkcs12), null), all, offline: true);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or IOException or UnauthorizedAccessException)
        {
            throw new InputException($"--http-certificate: must be a certificate and its key in PEM, the key not encrypted, got "
                + $"{files.Certificate} and {files.Key}: {e.Message.TrimEnd('.')}; give the two that belong together.");
        }
    }
}
