namespace Phi3VCluster.Silo;

/// <summary>Where the HTTP port has its certificate.</summary>
/// <param name="Certificate">PEM, first its own, then those between it and its authority.</param>
/// <param name="Key">Its private key, PEM, not encrypted.</param>
internal sealed record HttpFiles(string Certificate, string Key)
{
    /// <param name="certificate">As given, or not.</param>
    /// <param name="key">As given, or not.</param>
    /// <param name="problem">What is missing, where one is given and the other is not.</param>
    /// <returns>Null where none is given, or not both.</returns>
    public static HttpFiles? Of(string? certificate, string? key, out string? problem)
    {
        problem = null;
        if (string.IsNullOrEmpty(certificate) && string.IsNullOrEmpty(key)) return null;
        if (!string.IsNullOrEmpty(certificate) && !string.IsNullOrEmpty(key)) return new(certificate, key);
        var (missing, given) = string.IsNullOrEmpty(key) ? ("--http-key", "--http-certificate") : ("--http-certificate", "--http-key");
        problem = $"{missing}: must be given with {given}, got nothing; give both, or none.";
        return null;
    }
}
