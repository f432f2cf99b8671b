using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;

namespace Phi3VCluster.Client.Commands;

/// <summary>A verb that asks a cluster that is up.</summary>
internal abstract class ClusterVerb : Verb
{
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    protected ClusterVerb(string name, string description, string example) : base(name, description, example) => Options.Add(_cluster);

    protected abstract Task<int> AskAsync(ClusterConnection cluster, ParseResult parsed, Output output, CancellationToken interrupted);

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        await using var cluster = await ClusterConnection.OpenAsync(ClusterAddress.Require(parsed.GetValue(_cluster)), interrupted);
        return await AskAsync(cluster, parsed, output, interrupted);
    }
}

/// <summary>A verb about one run.</summary>
internal abstract class RunVerb : ClusterVerb
{
    private readonly Argument<string> _run = new("RUN") { Description = "The run's id." };

    protected RunVerb(string name, string description, string example) : base(name, description, example) => Arguments.Add(_run);

    protected abstract Task<int> AskAsync(
        ClusterConnection cluster, string run, ParseResult parsed, Output output, CancellationToken interrupted);

    protected sealed override Task<int> AskAsync(
        ClusterConnection cluster, ParseResult parsed, Output output, CancellationToken interrupted) =>
        AskAsync(cluster, parsed.GetRequiredValue(_run), parsed, output, interrupted);
}
