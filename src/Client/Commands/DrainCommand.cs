using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Completion;

namespace Phi3VCluster.Client.Commands;

/// <summary>Empties a node: it gets no runs, and those it has leave it at their next boundary.</summary>
internal sealed class DrainCommand() : NodeVerb(
    "drain", "Empty a node: its runs go on without it, and it gets no others.", "phi3v nodes drain gpu-2")
{
    protected override Task<IReadOnlyList<string>> ChangeAsync(ClusterConnection cluster, string node) => cluster.DrainAsync(node);

    protected override string Done(string node) => $"{node} drains; `phi3v nodes` says when it is free.";
}

internal sealed class UndrainCommand() : NodeVerb("undrain", "Give a drained node runs again.", "phi3v nodes undrain gpu-2")
{
    protected override Task<IReadOnlyList<string>> ChangeAsync(ClusterConnection cluster, string node) => cluster.UndrainAsync(node);

    protected override string Done(string node) => $"{node} takes runs again.";
}

/// <summary>A verb that changes what a node is given.</summary>
internal abstract class NodeVerb : ClusterVerb
{
    private readonly Argument<string> _node = new("NODE")
    {
        Description = "The node's name.",
        CompletionSources = { CompletionValues.Nodes },
    };

    protected NodeVerb(string name, string description, string example) : base(name, description, example) => Arguments.Add(_node);

    /// <returns>Why it cannot be; empty if it is done.</returns>
    protected abstract Task<IReadOnlyList<string>> ChangeAsync(ClusterConnection cluster, string node);

    protected abstract string Done(string node);

    protected override async Task<int> AskAsync(ClusterConnection cluster, ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var node = parsed.GetRequiredValue(_node);
        var problems = await ChangeAsync(cluster, node);
        foreach (var problem in problems) output.Error(problem);
        if (problems.Count > 0) return ExitCode.BadInput;
        output.Result(new { Node = node, Change = Name }, to => to.Line(Done(node)));
        return ExitCode.Done;
    }
}
