using System.Security.Authentication;
using Phi3VCluster.Spec;
using Phi3VCluster.Tls;
using StackExchange.Redis;

namespace Phi3VCluster.Silo;

/// <summary>TLS to the Redis: whom we believe, and the silo's certificate for one that asks for its clients'.</summary>
internal static class RedisTls
{
    /// <param name="options">With or without TLS, as the address says.</param>
    /// <param name="settings">Of this silo.</param>
    /// <param name="refused">Told why the Redis is not believed.</param>
    /// <exception cref="InputException">A file cannot be used, or is for nothing.</exception>
    public static void Prepare(ConfigurationOptions options, SiloSettings settings, Action<string>? refused)
    {
        if (!options.Ssl)
        {
            if (settings.RedisAuthority is { } unused)
                throw new InputException($"--redis-authority: is for a Redis with TLS, got {unused} and a --redis without it; "
                    + "write --redis host:port,ssl=true, or leave it out.");
            return;
        }
        options.SslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13;
        if (settings.Tls is { } files)
        {
            var identity = new TlsIdentity(files, PeerRole.Silo);
            options.CertificateSelection += (_, _, _, _, _) => identity.Certificate;
        }
        var check = new ServerCheck(settings.RedisAuthority);
        options.CertificateValidation += (_, certificate, chain, errors) =>
        {
            if (check.Refuse(certificate, chain, errors) is not { } reason) return true;
            refused?.Invoke(reason);
            return false;
        };
    }
}
