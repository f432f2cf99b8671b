using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Completion;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

/// <summary>Where a run's results are, however the user names the run.</summary>
internal static class RunPlace
{
    public static Argument<string> Argument() => new("RUN")
    {
        Description = "The run's id, its beginning, last, or its folder of results.",
        CompletionSources = { CompletionValues.Runs },
    };

    /// <summary>The run's folder of results, as this machine sees it.</summary>
    /// <exception cref="InputException">There is no such run, or its folder is not here.</exception>
    public static async Task<string> FindAsync(string given, ClusterAddress? address, CancellationToken interrupted)
    {
        var path = UserPath.Absolute(given);
        if (File.Exists(Path.Combine(path, "run.yaml"))) return Path.TrimEndingDirectorySeparator(path);
        if (LocalRuns.Find(given) is { } ended && (address is null || ended.Run == given)) return Here(ended.Output, given);
        if (address is null)
            throw new InputException($"run: neither a run of this machine nor a folder of results, got {given}; see `phi3v runs`.");
        await using var cluster = await ClusterConnection.OpenAsync(address, interrupted);
        var status = await cluster.StatusAsync(await cluster.ResolveAsync(given));
        return Here(status.Output, given);
    }

    private static string Here(string output, string given) => Directory.Exists(output)
        ? output
        : throw new InputException($"run: the folder of {given} is not on this machine, got {output}; "
            + "ask where it is, or give the folder.");
}
