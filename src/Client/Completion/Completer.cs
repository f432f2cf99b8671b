using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Help;

namespace Phi3VCluster.Client.Completion;

/// <param name="Word">What may be written.</param>
/// <param name="About">A sentence on it, where there is one.</param>
internal sealed record Candidate(string Word, string? About = null);

/// <summary>
/// What may stand where the cursor is. The library's own answer is to a line of text, which it would take apart by other rules than the
/// shell has; this one is to the shell's words.
/// </summary>
internal static class Completer
{
    /// <param name="words">Those after the program's name; the last one is being written and may be empty.</param>
    public static IEnumerable<Candidate> Of(RootCommand root, IReadOnlyList<string> words)
    {
        var (before, current) = (words.SkipLast(1).ToArray(), words.LastOrDefault() ?? "");
        var context = root.Parse(before, new ParserConfiguration { ResponseFileTokenReplacer = null }).GetCompletionContext();
        var (verb, positional, awaits) = Where(root, before);
        var equals = current.StartsWith('-') ? current.IndexOf('=') : -1;
        if (awaits is null && equals > 0 && Find(verb, root, current[..equals]) is { } assigned)
            return Values(assigned.CompletionSources, context).Select(value => value with { Word = current[..(equals + 1)] + value.Word })
                .Where(value => value.Word.StartsWith(current, StringComparison.Ordinal));
        var all = awaits is not null ? Values(awaits.CompletionSources, context)
            : current.StartsWith('-') ? Options(verb, root)
            : Positions(verb, positional, context);
        return all.Where(candidate => candidate.Word.StartsWith(current, StringComparison.Ordinal));
    }

    private static (Command Verb, int Positional, Option? Awaits) Where(RootCommand root, IEnumerable<string> before)
    {
        var (verb, positional, awaits) = ((Command)root, 0, (Option?)null);
        foreach (var word in before)
        {
            if (awaits is not null) awaits = null;
            else if (word.StartsWith('-')) awaits = Find(verb, root, word) is { } option && TakesValue(option) ? option : null;
            else if (positional == 0 && verb.Subcommands.FirstOrDefault(one => one.Name == word) is { } sub) verb = sub;
            else positional++;
        }
        return (verb, positional, awaits);
    }

    private static IEnumerable<Candidate> Positions(Command verb, int positional, CompletionContext context) =>
    [
        .. positional > 0 ? [] : verb.Subcommands.Where(one => !one.Hidden).Select(one => new Candidate(one.Name, one.Description)),
        .. positional < verb.Arguments.Count ? Values(verb.Arguments[positional].CompletionSources, context) : [],
    ];

    private static IEnumerable<Candidate> Options(Command verb, RootCommand root) => verb.Options.Concat(root.Options.OfType<HelpOption>())
        .Where(option => !option.Hidden).DistinctBy(option => option.Name).Select(option => new Candidate(option.Name, option.Description));

    private static Option? Find(Command verb, RootCommand root, string word) =>
        verb.Options.Concat(root.Options).FirstOrDefault(option => option.Name == word || option.Aliases.Contains(word));

    private static bool TakesValue(Option option) => option is not (HelpOption or VersionOption) && option.ValueType != typeof(bool);

    private static IEnumerable<Candidate> Values(
        IEnumerable<Func<CompletionContext, IEnumerable<CompletionItem>>> sources, CompletionContext context) =>
        sources.SelectMany(source => source(context)).Select(item => new Candidate(item.Label, item.Detail)).DistinctBy(one => one.Word);
}
