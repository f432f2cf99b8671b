using System.ComponentModel;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Silo.Http;

/// <summary>Calls about the cluster: who asks, its nodes, its queue.</summary>
internal static class ClusterApi
{
    public static readonly IReadOnlyList<ApiRoute> Routes =
    [
        new("GET", "/access", "Says which silo answers, and what the caller may do there.", typeof(AccessReply),
            call => Task.FromResult<object>(new AccessReply(call.Node, SiloMetrics.Version, call.Role.ToString().ToLowerInvariant()))),
        new("GET", "/nodes", "The nodes of the cluster, by name.", typeof(NodeInfoRow),
            async call => (await call.AnswerAsync(call.Cluster.NodesAsync())).Select(NodeInfoRow.Of)) { IsList = true },
        new("GET", "/queue", "The runs that wait for ranks, the next one first.", typeof(QueueRow), QueueAsync) { IsList = true },
        new("POST", "/nodes/{node}/drain", "Empties a node: its runs go on without it, and it gets no others.", typeof(NodeChange),
            call => ChangeAsync(call, "drain", call.Cluster.DrainAsync)),
        new("POST", "/nodes/{node}/undrain", "Gives a drained node runs again.", typeof(NodeChange),
            call => ChangeAsync(call, "undrain", call.Cluster.UndrainAsync)),
    ];

    private static async Task<object> QueueAsync(ApiCall call)
    {
        var waiting = await call.AnswerAsync(call.Cluster.WaitingAsync());
        if (waiting.Count == 0) return Array.Empty<QueueRow>();
        var runs = (await call.AnswerAsync(call.Cluster.RunsAsync())).ToDictionary(run => run.Run);
        return waiting.Where(runs.ContainsKey).Select((run, ahead) => QueueRow.Of(ahead, runs[run]));
    }

    private static async Task<object> ChangeAsync(ApiCall call, string change, Func<string, Task<IReadOnlyList<string>>> grain)
    {
        var node = call.Id("node");
        var problems = await call.AnswerAsync(grain(node));
        return problems.Count == 0 ? new NodeChange(node, change)
            : throw new ApiException(StatusCodes.Status409Conflict, string.Join(" ", problems));
    }
}

/// <summary>Who answers, and what the caller may do.</summary>
internal sealed record AccessReply(
    [property: Description("The node whose silo answers.")] string Node,
    [property: Description("Of the silo's build.")] string Version,
    [property: Description("reader, or operator, who may POST.")] string Role);

/// <summary>A run that waits for ranks.</summary>
internal sealed record QueueRow(
    [property: Description("Runs before it.")] int Ahead,
    string Run,
    string Name,
    [property: Description("As a sentence.")] string? WaitingFor,
    DateTimeOffset SubmittedAt)
{
    public static QueueRow Of(int ahead, RunStatus s) => new(ahead, s.Run, s.Name, s.WaitingFor, s.SubmittedAt);
}

/// <summary>What was done to a node.</summary>
internal sealed record NodeChange(
    string Node,
    [property: Description("drain or undrain.")] string Change);
