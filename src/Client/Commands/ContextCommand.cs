using System.CommandLine;
using System.CommandLine.Completions;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Client.Commands;

/// <summary>Names for clusters. By itself it lists them.</summary>
internal sealed class ContextCommand : ContextListVerb
{
    public ContextCommand() : base("context", "Names for clusters, and which of them verbs ask.", "phi3v context")
    {
        Subcommands.Add(new ContextListCommand());
        Subcommands.Add(new ContextSetCommand());
        Subcommands.Add(new ContextUseCommand());
        Subcommands.Add(new ContextRemoveCommand());
    }

    public static Argument<string> NameArgument()
    {
        var name = new Argument<string>("NAME") { Description = "The context's name." };
        name.CompletionSources.Add(_ => Contexts.Read().All.Select(context => new CompletionItem(context.Name)));
        return name;
    }
}

internal sealed class ContextListCommand() : ContextListVerb("list", "The names there are; * is in use.", "phi3v context list");

internal abstract class ContextListVerb(string name, string description, string example) : Verb(name, description, example)
{
    protected override Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var contexts = Contexts.Read();
        output.Result(
            contexts.All.Select(one => new { one.Name, InUse = one == contexts.InUse, one.Cluster, one.Tls }).ToArray(),
            to =>
            {
                if (contexts.All.Count == 0) to.Line("no contexts; `phi3v context set NAME --cluster HOST:PORT` makes one");
                else Show(to, contexts);
            });
        return Task.FromResult(ExitCode.Done);
    }

    private static void Show(Output to, Contexts contexts) => Tables.Write(to,
        [new("in use"), new("context"), new("cluster"), new("certificate", 1)],
        contexts.All.Select(one => (string[])[one == contexts.InUse ? "*" : "", one.Name, one.Cluster, one.Tls?.Certificate ?? ""]));
}

internal sealed class ContextSetCommand : Verb
{
    private readonly Argument<string> _name = ContextCommand.NameArgument();
    private readonly Option<string> _cluster = new("--cluster")
    {
        Description = "The cluster's gateway.",
        HelpName = "host:port",
        Required = true,
    };
    private readonly Option<string?>[] _tls =
    [
        .. TlsFiles.Options.Zip((string[])["Certificate that shows the cluster who you are.", "The certificate's private key.",
            "The authority whose certificates the cluster's silos have."])
        .Select(option => new Option<string?>(option.First) { Description = option.Second, HelpName = "FILE" }),
    ];

    public ContextSetCommand() : base("set", "Name a cluster, or change what a name stands for.",
        "phi3v context set lab --cluster 10.0.0.1:30000 --tls-certificate alice.crt --tls-key alice.key --tls-authority authority.crt")
    {
        Arguments.Add(_name);
        foreach (var option in (Option[])[_cluster, .. _tls]) Options.Add(option);
    }

    protected override Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var name = parsed.GetRequiredValue(_name);
        var given = _tls.Select(option => parsed.GetValue(option) is { } path ? UserPath.Absolute(path) : null);
        var files = TlsFiles.Of(TlsFiles.Options, [.. given], out var incomplete);
        string?[] problems =
        [
            Contexts.IsName(name) ? null
                : $"NAME: must be letters, digits, '.', '_' and '-', and not {Contexts.None}, got '{name}'; choose another.",
            incomplete,
        ];
        if (problems.OfType<string>().ToArray() is { Length: > 0 } all) throw new InputException(all);
        var context = new Context(name, $"{ClusterAddress.Parse(parsed.GetRequiredValue(_cluster), _cluster.Name)}", files);
        if (files is not null) _ = new TlsIdentity(files, PeerRole.Client, PeerRole.Silo); // one that cannot be used is said now
        var contexts = Contexts.Read().With(context);
        contexts.Save();
        output.Result(context, to => to.Line(contexts.Used == name
            ? $"{name}: {context.Cluster}, in use"
            : $"{name}: {context.Cluster}\nuse it: phi3v context use {name}"));
        return Task.FromResult(ExitCode.Done);
    }
}

internal sealed class ContextUseCommand : Verb
{
    private readonly Argument<string> _name = ContextCommand.NameArgument();

    public ContextUseCommand() : base("use", $"Let verbs ask this cluster unless told otherwise; {Contexts.None}: no context.",
        "phi3v context use lab") => Arguments.Add(_name);

    protected override Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var (name, contexts) = (parsed.GetRequiredValue(_name), Contexts.Read());
        var context = name == Contexts.None ? null : contexts.Find(name);
        (contexts with { Used = context?.Name }).Save();
        output.Result(new { context?.Name, context?.Cluster },
            to => to.Line(context is null ? "no context is in use" : $"in use: {context.Name}, {context.Cluster}"));
        if (context is not null && Environment.GetEnvironmentVariable(ClusterAddress.Variable) is { Length: > 0 } variable)
            output.Error($"warning: {ClusterAddress.Variable} is set, got {variable}, and comes first; unset it.");
        return Task.FromResult(ExitCode.Done);
    }
}

internal sealed class ContextRemoveCommand : Verb
{
    private readonly Argument<string> _name = ContextCommand.NameArgument();

    public ContextRemoveCommand() : base("remove", "Forget a name; the cluster is left alone.", "phi3v context remove lab") =>
        Arguments.Add(_name);

    protected override Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var contexts = Contexts.Read();
        var removed = contexts.Find(parsed.GetRequiredValue(_name));
        var wasInUse = contexts.Used == removed.Name;
        (contexts.Without(removed.Name) with { Used = wasInUse ? null : contexts.Used }).Save();
        output.Result(new { removed.Name, WasInUse = wasInUse },
            to => to.Line($"removed {removed.Name}{(wasInUse ? "; no context is in use" : "")}"));
        return Task.FromResult(ExitCode.Done);
    }
}
