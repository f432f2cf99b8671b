namespace Phi3VCluster.Grains.Interfaces;

/// <summary>There is no run of that id.</summary>
[GenerateSerializer, Alias("phi3v.RunNotFoundException")]
public sealed class RunNotFoundException(string message) : Exception(message)
{
    public static RunNotFoundException For(string run) => new($"run: there is none called '{run}'; `phi3v runs` lists them.");
}
