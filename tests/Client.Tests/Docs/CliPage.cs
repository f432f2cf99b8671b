using System.Collections;
using System.CommandLine;
using System.CommandLine.Help;
using Phi3VCluster.Client.App;

namespace Phi3VCluster.Client.Tests.Docs;

/// <summary>The reference of the command line, as its own verbs have it.</summary>
internal static class CliPage
{
    private const string Head =
        """
        # The command line

        Every verb, argument and option. This page is written by a test from the verbs themselves; after a change of them,
        `PHI3V_REWRITE_CLI=1 dotnet run --project tests/Client.Tests -c Release -- --filter-class '*CliPageTests'` writes it anew.
        What the verbs are for is in the [README](../README.md), with the exit codes, and in the [pages](README.md) of their fields. An
        option's value stands after a blank or after `=`; options that may be given often are marked with …

        `phi3v completion bash`, `zsh` or `fish` prints a script by which a shell completes verbs, options, runs, recipes, nodes, spec keys
        and contexts: `source <(phi3v completion bash)` in `~/.bashrc`, `source <(phi3v completion zsh)` in `~/.zshrc` after `compinit`,
        `phi3v completion fish | source` in `~/.config/fish/config.fish`. Runs and nodes are asked of the cluster, for 2 seconds at most.


        """;

    public static string Text()
    {
        var root = Phi3VApp.Tree();
        var verbs = All(root).ToList();
        var usual = verbs.SelectMany(verb => verb.Verb.Options).GroupBy(option => (option.Name, option.Description))
            .Where(same => same.Count() > verbs.Count / 3).Select(same => same.First()).ToList();
        return Head + "## Options of many verbs\n\n" + Table(usual.Select(Row))
            + string.Concat(verbs.Select(verb => Section(verb.Path, verb.Verb, usual)));
    }

    private static IEnumerable<(string Path, Verb Verb)> All(Command from, string path = "phi3v") => from.Subcommands
        .Where(verb => !verb.Hidden).OfType<Verb>()
        .SelectMany(verb => All(verb, $"{path} {verb.Name}").Prepend(($"{path} {verb.Name}", verb)));

    private static string Section(string path, Verb verb, List<Option> usual)
    {
        bool IsUsual(Option option) => usual.Any(one => (one.Name, one.Description) == (option.Name, option.Description));
        var options = verb.Options.Where(option => !option.Hidden && option is not HelpOption).ToList();
        var rows = verb.Arguments.Select(Row).Concat(options.Where(option => !IsUsual(option)).Select(Row)).ToList();
        var also = string.Join(", ", options.Where(IsUsual).Select(option => $"`{option.Name}`"));
        return $"\n## {path}\n\n{Text(verb.Description)}\n\n    {verb.Example}\n\n"
            + (rows.Count == 0 ? "" : Table(rows) + "\n") + $"{(rows.Count == 0 ? "Takes" : "Also")} {also}.\n";
    }

    private static string Table(IEnumerable<string> rows) =>
        "| | default | |\n| --- | --- | --- |\n" + string.Concat(rows.Select(row => row + "\n"));

    private static string Row(Argument argument) => $"| `{argument.Name}` | {(argument.Arity.MinimumNumberOfValues > 0 ? "required" : "")} "
        + $"| {Text(argument.Description)} |";

    private static string Row(Option option)
    {
        var value = option.HelpName is { } name ? $" {name.Replace("|", "\\|", StringComparison.Ordinal)}" : "";
        var often = option.Arity.MaximumNumberOfValues > 1 ? " …" : "";
        return $"| `{option.Name}{value}`{often} | {(option.Required ? "required" : Default(option))} | {Text(option.Description)} |";
    }

    private static string Default(Option option) => option.HasDefaultValue && option.ValueType != typeof(bool)
        ? option.GetDefaultValue() switch
        {
            null => "",
            string text => $"`{text}`",
            IEnumerable => "",
            var value => $"{value}",
        }
        : "";

    private static string Text(string? description) => (description ?? "").Replace("|", "\\|", StringComparison.Ordinal)
        .Replace("<", "&lt;", StringComparison.Ordinal).Replace("*", "\\*", StringComparison.Ordinal);
}
