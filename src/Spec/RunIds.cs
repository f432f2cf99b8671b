using System.Globalization;
using System.Security.Cryptography;

namespace Phi3VCluster.Spec;

/// <summary>Names of runs. Whoever submits a run may make its id, to know its folder before it starts.</summary>
public static class RunIds
{
    /// <summary>{name}-{yyyyMMdd-HHmmss}-{4 hex}: tells people what and when; the end tells two of one second apart.</summary>
    public static string New(string name, DateTimeOffset now)
    {
        var when = now.UtcDateTime.ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture);
        return $"{name}-{when}-{RandomNumberGenerator.GetHexString(4, lowercase: true)}";
    }
}
