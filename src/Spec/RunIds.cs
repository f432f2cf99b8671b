using System.Globalization;
using System.Security.Cryptography;

namespace Phi3VCluster.Spec;

/// <summary>Names of runs. Whoever submits a run may make its id, to know its folder before it starts.</summary>
public static class RunIds
{
    private const string Verification = "verify-";

    /// <summary>{name}-{yyyyMMdd-HHmmss}-{4 hex}: tells people what and when; the end tells two of one second apart.</summary>
    public static string New(string name, DateTimeOffset now)
    {
        var when = now.UtcDateTime.ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture);
        return $"{name}-{when}-{RandomNumberGenerator.GetHexString(4, lowercase: true)}";
    }

    /// <summary>For a run that repeats some steps of another: nobody means it by <c>last</c>.</summary>
    public static string NewVerification() => Verification + RandomNumberGenerator.GetHexString(8, lowercase: true);

    /// <summary>Whether it is one of <see cref="NewVerification"/>.</summary>
    public static bool IsVerification(string run) =>
        run.Length == Verification.Length + 8 && run.StartsWith(Verification, StringComparison.Ordinal)
        && run[Verification.Length..].All(char.IsAsciiHexDigitLower);
}
