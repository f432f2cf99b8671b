using System.Formats.Asn1;
using System.Security.Cryptography.X509Certificates;

namespace Phi3VCluster.Tls;

/// <summary>What a certificate lets its holder be.</summary>
public enum PeerRole
{
    /// <summary>A node: answers clients, and joins other nodes.</summary>
    Silo,
    /// <summary>Asks a gateway, and is nothing to the nodes among themselves.</summary>
    Client,
}

/// <summary>The role in a certificate: a URI <c>phi3v:silo</c> or <c>phi3v:client</c> among its subject alternative names.</summary>
public static class PeerRoles
{
    private const string SubjectAlternativeName = "2.5.29.17";

    private static readonly Asn1Tag UriTag = new(TagClass.ContextSpecific, 6);

    public static string Uri(this PeerRole role) => $"phi3v:{role.Word()}";

    public static string Word(this PeerRole role) => role == PeerRole.Silo ? "silo" : "client";

    /// <returns>Null for a certificate that has neither.</returns>
    public static PeerRole? Of(X509Certificate2 certificate)
    {
        var uris = Uris(certificate);
        foreach (var role in Enum.GetValues<PeerRole>())
            if (uris.Contains(role.Uri())) return role;
        return null;
    }

    private static List<string> Uris(X509Certificate2 certificate)
    {
        var found = new List<string>();
        if (certificate.Extensions[SubjectAlternativeName] is not { } extension) return found;
        try
        {
            var names = new AsnReader(extension.RawData, AsnEncodingRules.DER).ReadSequence();
            while (names.HasData)
            {
                if (!names.PeekTag().HasSameClassAndValue(UriTag)) names.ReadEncodedValue();
                else found.Add(names.ReadCharacterString(UniversalTagNumber.IA5String, UriTag));
            }
            return found;
        }
        catch (AsnContentException)
        {
            return []; // of half a list no part is believed
        }
    }
}
