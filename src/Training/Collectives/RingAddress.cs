using System.Globalization;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// Where a rank's end listens, as text <c>tcp://host:port/key</c>, or <c>tls://…</c> where it takes nothing else from other machines.
/// The key is random: it names the end's Unix domain socket, which answers only on its own host, and tells a peer that was sent here
/// from one that knocks at a port that changed hands.
/// </summary>
internal sealed record RingAddress(string Host, int Port, Guid Key, bool IsTls = false)
{
    private const string Tcp = "tcp", Tls = "tls";

    /// <summary>Name in Linux' abstract namespace: no file to clean up, gone with the process.</summary>
    public string LocalName => $"\0phi3v-{Key:N}";

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{(IsTls ? Tls : Tcp)}://{(Host.Contains(':') ? $"[{Host}]" : Host)}:{Port}/{Key:N}");

    /// <exception cref="CollectiveException">The text is no such address.</exception>
    public static RingAddress Parse(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri is { Scheme: Tcp or Tls, Port: > 0 }
            && Guid.TryParseExact(uri.AbsolutePath.Trim('/'), "N", out var key)
            ? new(uri.DnsSafeHost, uri.Port, key, uri.Scheme == Tls)
            : throw new CollectiveException($"'{text}' is no address of a tcp collective; expected tcp://host:port/key. "
                + "Do all ranks use the same collective?");
}
