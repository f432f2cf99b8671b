using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using Phi3VCluster.Client.Commands;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.App;

/// <summary>The command line as a whole: the verbs there are, help, and what is said to words that are none.</summary>
internal static class Phi3VApp
{
    /// <summary>All verbs with their options.</summary>
    public static RootCommand Tree()
    {
        var root = new RootCommand("Fine-tunes Phi-3-Vision on a cluster, or on this machine.");
        foreach (var verb in (Verb[])
        [
            new QuickstartCommand(), new UpCommand(), new DownCommand(), new NodesCommand(), new SubmitCommand(), new RunsCommand(),
            new StatusCommand(), new WatchCommand(), new LogsCommand(), new CancelCommand(),
            new ForgetCommand(), new CheckpointsCommand(), new ResumeCommand(),
            new VerifyResumeCommand(), new ExportCommand(),
            new ValidateCommand(), new PlanCommand(), new BenchCommand(), new GenerateCommand(), new EvalCommand(),
            new InspectCommand(), new MergeCommand(),
            new DownloadCommand(), new RecipesCommand(), new CertsCommand(), new ContextCommand(), new DoctorCommand(),
            new CompletionCommand(), new CompleteCommand(), new SuperviseCommand(),
        ]) root.Subcommands.Add(verb);
        NameArguments(root);
        var help = root.Options.OfType<HelpOption>().Single();
        help.Action = new HelpWithExample((HelpAction)help.Action!);
        return root;
    }

    // Unless named, an argument's help is all that it may be completed to: every recipe, and the runs that the cluster is asked for.
    private static void NameArguments(Command command)
    {
        foreach (var argument in command.Arguments) argument.HelpName ??= argument.Name;
        foreach (var verb in command.Subcommands) NameArguments(verb);
    }

    public static async Task<int> RunAsync(string[] args)
    {
        var root = Tree();
        if (args.Length == 0)
        {
            root.Parse(["--help"]).Invoke(new() { Output = Console.Error });
            return ExitCode.BadInput;
        }
        var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0 && parsed.Action is not HelpWithExample) return Refuse(root, parsed);
        return await parsed.InvokeAsync(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }

    private static int Refuse(RootCommand root, ParseResult parsed)
    {
        var verb = parsed.CommandResult.Command;
        var unknown = parsed.UnmatchedTokens.FirstOrDefault();
        var message = unknown switch
        {
            null => string.Join(" ", parsed.Errors.Select(Reason).Distinct()),
            _ when unknown.StartsWith('-') => Unknown(
                "option", unknown.Split('=')[0], verb.Options.Concat(root.Options).Where(o => !o.Hidden).Select(o => o.Name)),
            _ when verb.Arguments.Count == 0 && verb.Subcommands.Count > 0 =>
                Unknown("verb", unknown, verb.Subcommands.Where(c => !c.Hidden).Select(c => c.Name)),
            _ when Repeatable(parsed, unknown) is { } option => $"'{unknown}' is one word too many; write {option} before each.",
            _ => $"'{unknown}' is one word too many.",
        };
        return new Output(parsed.Tokens.Any(token => token.Value == "--json"))
            .Fail(ExitCode.BadInput, $"{message} See `{PathOf(verb)} --help`.");
    }

    /// <summary>E.g. "phi3v nodes drain".</summary>
    private static string PathOf(Command verb) =>
        verb.Parents.OfType<Command>().FirstOrDefault() is { } parent ? $"{PathOf(parent)} {verb.Name}" : "phi3v";

    /// <summary>The option whose second value the word may have been meant to be.</summary>
    private static string? Repeatable(ParseResult parsed, string word)
    {
        var words = parsed.Tokens.Select(token => token.Value).ToList();
        var before = words.Take(Math.Max(0, words.IndexOf(word))).LastOrDefault(one => one.StartsWith("--", StringComparison.Ordinal));
        return parsed.CommandResult.Command.Options.FirstOrDefault(o => o.Name == before && o.ValueType == typeof(string[]))?.Name;
    }

    // All options with types of their own are numbers; the library would name the .NET type.
    private static string Reason(ParseError error) => error.SymbolResult is OptionResult { Tokens: [var token] } option
        ? $"{option.Option.Name}: must be a whole number{(IsWhole(token.Value) ? ", and not so large a one" : "")}, got {token.Value}."
        : error.Message;

    private static bool IsWhole(string value) => value.Length > 1 && value.TrimStart('-', '+').All(char.IsAsciiDigit);

    private static string Unknown(string kind, string word, IEnumerable<string> known) =>
        $"there is no {kind} '{word}'" + (Nearest.To(word, known) is { } near ? $"; did you mean {near}?" : ".");

    private sealed class HelpWithExample(HelpAction usual) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parsed)
        {
            usual.Invoke(parsed);
            if (parsed.CommandResult.Command is Verb verb)
                parsed.InvocationConfiguration.Output.WriteLine($"Example:{Environment.NewLine}  {verb.Example}{Environment.NewLine}");
            return ExitCode.Done;
        }
    }
}
