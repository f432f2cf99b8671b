using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Completion;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

internal sealed class CompletionCommand : Verb
{
    private readonly Argument<string> _shell = new("SHELL")
    {
        Description = $"{string.Join(", ", ShellScripts.All.Keys)}.",
        CompletionSources = { ShellScripts.All.Keys },
    };

    public CompletionCommand() : base("completion", "Print a script by which a shell completes verbs, options, runs and recipes.",
        "source <(phi3v completion bash)") => Arguments.Add(_shell);

    protected override Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var shell = parsed.GetRequiredValue(_shell);
        if (!ShellScripts.All.TryGetValue(shell, out var script))
            throw new InputException($"SHELL: unknown, got {shell}; {Nearest.Advice(shell, [.. ShellScripts.All.Keys])}");
        output.Result(new { Shell = shell, Script = script }, _ => Console.Out.Write(script));
        return Task.FromResult(ExitCode.Done);
    }
}

/// <summary>What the scripts of <see cref="ShellScripts"/> ask. No verb for people: it is in no help.</summary>
internal sealed class CompleteCommand : Verb
{
    private readonly Argument<string[]> _words = new("WORDS") { Arity = ArgumentArity.ZeroOrMore };

    public CompleteCommand() : base("complete", "What may stand where the cursor is.", "phi3v complete -- status qui")
    {
        Hidden = true;
        Arguments.Add(_words);
    }

    protected override Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var candidates = Completer.Of(Phi3VApp.Tree(), parsed.GetValue(_words) ?? []).ToArray();
        output.Result(candidates, to =>
        {
            foreach (var (word, about) in candidates) to.Line(about is null ? word : $"{word}\t{about}");
        });
        return Task.FromResult(ExitCode.Done);
    }
}
