using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Commands;

/// <summary>A verb that asks a cluster that is up.</summary>
internal abstract class ClusterVerb : Verb
{
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    protected ClusterVerb(string name, string description, string example) : base(name, description, example) => Options.Add(_cluster);

    protected abstract Task<int> AskAsync(ClusterConnection cluster, ParseResult parsed, Output output, CancellationToken interrupted);

    /// <summary>Answers from the records of runs of local silos.</summary>
    /// <param name="hasCluster">Whether there is a cluster to ask instead.</param>
    /// <returns>The exit code; null where they do not say.</returns>
    protected virtual int? FromRecords(ParseResult parsed, Output output, bool hasCluster) => null;

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var address = ClusterAddress.Find(parsed.GetValue(_cluster));
        if (FromRecords(parsed, output, hasCluster: address is not null) is { } code) return code;
        await using var cluster = await ClusterConnection.OpenAsync(ClusterAddress.Require(parsed.GetValue(_cluster)), interrupted);
        return await AskAsync(cluster, parsed, output, interrupted);
    }
}

/// <summary>A verb about one run.</summary>
internal abstract class RunVerb : ClusterVerb
{
    private readonly Argument<string> _run = new("RUN") { Description = "The run's id, its beginning, or last." };

    protected RunVerb(string name, string description, string example) : base(name, description, example) => Arguments.Add(_run);

    protected abstract Task<int> AskAsync(
        ClusterConnection cluster, string run, ParseResult parsed, Output output, CancellationToken interrupted);

    /// <summary>Answers for a run of a local silo that has ended.</summary>
    protected virtual int? FromRecord(RunStatus ended, Output output) => null;

    protected sealed override int? FromRecords(ParseResult parsed, Output output, bool hasCluster)
    {
        var given = parsed.GetRequiredValue(_run);
        return LocalRuns.Find(given) is { } ended && (!hasCluster || ended.Run == given) ? FromRecord(ended, output) : null;
    }

    protected sealed override async Task<int> AskAsync(
        ClusterConnection cluster, ParseResult parsed, Output output, CancellationToken interrupted) =>
        await AskAsync(cluster, await cluster.ResolveAsync(parsed.GetRequiredValue(_run)), parsed, output, interrupted);
}
