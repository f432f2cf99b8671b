using System.CommandLine;
using System.CommandLine.Completions;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Recipes;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Completion;

/// <summary>What completion knows of an argument's or an option's values.</summary>
internal static class CompletionValues
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2); // somebody sits before it

    public static void Add(this ICollection<Func<CompletionContext, IEnumerable<CompletionItem>>> sources, IEnumerable<string> words) =>
        sources.Add(_ => words.Select(word => new CompletionItem(word)));

    /// <summary>Formats of data, each to be followed by a path.</summary>
    public static IEnumerable<string> Kinds { get; } = KnownNames.Datasets.Select(kind => $"{kind}:");

    /// <summary>Recipes, and spec files of the current folder: a file wins.</summary>
    public static IEnumerable<CompletionItem> Specs(CompletionContext context) =>
        BuiltInRecipes.Names.Concat(Directory.EnumerateFiles(".", "*.y*ml").Select(file => Path.GetFileName(file)))
            .Order(StringComparer.Ordinal).Select(name => new CompletionItem(name));

    /// <summary>Runs that were begun on this machine, and those that the cluster knows, if it answers quickly.</summary>
    public static IEnumerable<CompletionItem> Runs(CompletionContext context) => LocalRuns.Names().Append("last")
        .Concat(Asked(context, async cluster => (await cluster.RunsAsync()).Select(run => run.Run))).Select(run => new CompletionItem(run));

    /// <summary>The cluster's nodes, if it answers quickly.</summary>
    public static IEnumerable<CompletionItem> Nodes(CompletionContext context) =>
        Asked(context, async cluster => (await cluster.NodesAsync()).Select(node => node.Node)).Select(node => new CompletionItem(node));

    private static IEnumerable<string> Asked(CompletionContext context, Func<ClusterConnection, Task<IEnumerable<string>>> question)
    {
        var parsed = context.ParseResult;
        var option = parsed.CommandResult.Command.Options.OfType<Option<string?>>().FirstOrDefault(one => one.Name == "--cluster");
        try
        {
            if (option is null || ClusterAddress.Find(parsed.GetValue(option)) is not { } address) return [];
            using var deadline = new CancellationTokenSource(Patience);
            return Task.Run(async () =>
            {
                await using var cluster = await ClusterConnection.OpenQuicklyAsync(address, deadline.Token);
                return (await question(cluster)).ToArray();
            }).WaitAsync(Patience).GetAwaiter().GetResult();
        }
        catch (Exception error) when (error is NoClusterException or InputException or TimeoutException or OperationCanceledException)
        {
            return [];
        }
    }
}
