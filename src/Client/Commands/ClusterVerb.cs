using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Completion;
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
    private readonly Argument<string> _run;

    /// <param name="readsFolders">Whether a folder of results says enough.</param>
    protected RunVerb(string name, string description, string example, bool readsFolders = false) : base(name, description, example)
    {
        _run = readsFolders ? RunPlace.Argument() : new("RUN")
        {
            Description = "The run's id, its beginning, or last.",
            CompletionSources = { CompletionValues.Runs },
        };
        ReadsFolders = readsFolders;
        Arguments.Add(_run);
    }

    private bool ReadsFolders { get; }

    protected abstract Task<int> AskAsync(
        ClusterConnection cluster, string run, ParseResult parsed, Output output, CancellationToken interrupted);

    /// <summary>Answers for a run by its folder of results, or by a record of how it ended.</summary>
    protected virtual int FromRecord(RunStatus known, Output output) => throw new NotSupportedException();

    protected sealed override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        try
        {
            return await base.RunAsync(parsed, output, interrupted);
        }
        catch (Exception error) when (ReadsFolders && error is NoClusterException or NoSuchRunException)
        {
            var given = parsed.GetRequiredValue(_run);
            if ((LocalRuns.Find(Named(given)) is { } begun ? FolderStatus.Of(begun) : FolderStatus.Of(given)) is not { } known) throw;
            Output.Note($"{Output.Prefix}no cluster that knows this run answers; from its folder, {known.Output}:");
            return FromRecord(known, output);
        }
    }

    protected sealed override int? FromRecords(ParseResult parsed, Output output, bool hasCluster)
    {
        var given = Named(parsed.GetRequiredValue(_run));
        return ReadsFolders && LocalRuns.Find(given) is { IsFinal: true } ended && (!hasCluster || ended.Run == given)
            ? FromRecord(ended, output) : null;
    }

    protected sealed override async Task<int> AskAsync(
        ClusterConnection cluster, ParseResult parsed, Output output, CancellationToken interrupted) =>
        await AskAsync(cluster, await cluster.ResolveAsync(Named(parsed.GetRequiredValue(_run))), parsed, output, interrupted);

    /// <summary>The run's id where its folder was given.</summary>
    private string Named(string given) => ReadsFolders && FolderStatus.Of(given) is { } run ? run.Run : given;
}
