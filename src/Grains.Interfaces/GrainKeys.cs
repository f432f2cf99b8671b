using System.Diagnostics.CodeAnalysis;

namespace Phi3VCluster.Grains.Interfaces;

/// <summary>How grains are addressed. A run grain's key is the run's id.</summary>
public static class GrainKeys
{
    /// <summary>The one <see cref="IClusterGrain"/>.</summary>
    public const string Cluster = "cluster";

    /// <summary>Service id of every Phi3VCluster; with the cluster id it names the grain state in a shared store.</summary>
    public const string ServiceId = "phi3v";

    /// <summary>Default cluster id.</summary>
    public const string ClusterId = "phi3v";

    public static IClusterGrain GetCluster(this IGrainFactory grains) => grains.GetGrain<IClusterGrain>(Cluster);

    public static IRunGrain GetRun(this IGrainFactory grains, string run) => grains.GetGrain<IRunGrain>(run);

    public static IRankGrain GetRank(this IGrainFactory grains, string run, int seat, string node) =>
        grains.GetGrain<IRankGrain>(new SeatKey(run, seat, node).ToString());

    public static IModelJobGrain GetModelJob(this IGrainFactory grains, Guid job, string node) =>
        grains.GetGrain<IModelJobGrain>($"job/{job:N}@{node}");

    public static INodeCheckGrain GetNodeCheck(this IGrainFactory grains, Guid check, string node) =>
        grains.GetGrain<INodeCheckGrain>($"check/{check:N}@{node}");

    /// <summary>The node that a key ends with, after the first '@'; null where there is none.</summary>
    public static string? NodeOf(string? key) => key?.IndexOf('@') is { } at and > 0 && at < key.Length - 1 ? key[(at + 1)..] : null;
}

/// <summary>Key of a seat's grain, <c>run/seat@node</c>: the node in it decides where the grain lives, for good.</summary>
public readonly record struct SeatKey(string Run, int Seat, string Node)
{
    public override string ToString() => $"{Run}/{Seat}@{Node}";

    public static bool TryParse(string? text, [NotNullWhen(true)] out SeatKey? key)
    {
        key = null;
        var at = text?.IndexOf('@') ?? -1;
        var slash = at < 0 ? -1 : text!.LastIndexOf('/', at);
        if (slash < 1 || at == text!.Length - 1
            || !int.TryParse(text.AsSpan(slash + 1, at - slash - 1), out var seat) || seat < 0) return false;
        key = new SeatKey(text[..slash], seat, text[(at + 1)..]);
        return true;
    }
}
