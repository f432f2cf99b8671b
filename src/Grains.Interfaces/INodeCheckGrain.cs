using Orleans.Concurrency;

namespace Phi3VCluster.Grains.Interfaces;

/// <summary>
/// What a check of the cluster asks of the node that its key ends with (<see cref="GrainKeys.GetNodeCheck"/>). An answer comes within
/// seconds, whatever of the node hangs: then it says so. What a check has opened or written on the node goes with
/// <see cref="EndAsync"/>, or after a minute without a question.
/// </summary>
[Alias("phi3v.INodeCheckGrain")]
public interface INodeCheckGrain : IGrainWithStringKey
{
    /// <summary>The node's clock.</summary>
    [Alias("Clock"), AlwaysInterleave]
    Task<DateTimeOffset> ClockAsync();

    /// <param name="folder">Where runs' results go: its room is looked at, and a token left there.</param>
    [Alias("Look")]
    Task<NodeFindings> LookAsync(string folder);

    /// <summary>Opens ends as the node's ranks have them, each for one peer.</summary>
    [Alias("Open")]
    Task<NodeDoors> OpenAsync(int count);

    /// <summary>Goes to ends of other nodes as this one's ranks would, to all at once.</summary>
    /// <returns>What came of each.</returns>
    [Alias("Reach")]
    Task<IReadOnlyList<ReachReport>> ReachAsync(IReadOnlyList<string> doors);

    /// <returns>Of each file, whether the node sees it.</returns>
    [Alias("See")]
    Task<IReadOnlyList<bool>> SeeAsync(IReadOnlyList<string> files);

    /// <summary>The check is over.</summary>
    [Alias("End")]
    Task EndAsync();
}
