namespace Phi3VCluster.Tls;

/// <summary>Where an end of a connection has its credentials, all PEM.</summary>
/// <param name="Certificate">Its own.</param>
/// <param name="Key">The certificate's private key, not encrypted.</param>
/// <param name="Authority">The only ones whose certificates it takes from others.</param>
public sealed record TlsFiles(string Certificate, string Key, string Authority)
{
    /// <summary>Options of that, in the order of the parameters.</summary>
    public static readonly string[] Options = ["--tls-certificate", "--tls-key", "--tls-authority"];

    /// <summary>Variables of that, in the order of the parameters.</summary>
    public static readonly string[] Variables = ["PHI3V_TLS_CERTIFICATE", "PHI3V_TLS_KEY", "PHI3V_TLS_AUTHORITY"];

    /// <summary>For a silo's command line.</summary>
    public IEnumerable<string> AsOptions() => [Options[0], Certificate, Options[1], Key, Options[2], Authority];

    /// <param name="names">What the user calls the three, in their order.</param>
    /// <param name="values">What was given; null or empty where nothing was.</param>
    /// <param name="problem">What is missing, where some are given and some are not.</param>
    /// <returns>Null where none is given, or not all.</returns>
    public static TlsFiles? Of(string[] names, string?[] values, out string? problem)
    {
        problem = null;
        if (values.All(string.IsNullOrEmpty)) return null;
        if (Array.FindIndex(values, string.IsNullOrEmpty) is >= 0 and var missing)
        {
            var given = Array.FindIndex(values, value => !string.IsNullOrEmpty(value));
            problem = $"{names[missing]}: must be given with {names[given]}, got nothing; give all of {string.Join(", ", names)}, or none.";
            return null;
        }
        return new(values[0]!, values[1]!, values[2]!);
    }

    /// <exception cref="Spec.InputException">Some of the variables are set, and some are not.</exception>
    public static TlsFiles? FromEnvironment()
    {
        var files = Of(Variables, [.. Variables.Select(Environment.GetEnvironmentVariable)], out var problem);
        return problem is null ? files : throw new Spec.InputException(problem);
    }
}
