namespace Phi3VCluster.Grains;

/// <summary>Stored state says which format it is in, so that an older build does not take a newer one's for its own.</summary>
internal static class StateFormat
{
    /// <exception cref="InvalidOperationException">A newer build wrote it.</exception>
    public static void Require(int stored, int known, string what)
    {
        if (stored > known)
            throw new InvalidOperationException(
                $"the state of {what} is in format {stored}, and this build reads up to {known}; "
                + "start the build that wrote it, or a newer.");
    }
}
