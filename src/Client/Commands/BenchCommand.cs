using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Completion;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Spec.Recipes;

namespace Phi3VCluster.Client.Commands;

/// <summary>What this machine reaches, in the form of the recipe's tables. A local silo makes pages and weights, and trains.</summary>
internal sealed class BenchCommand : Verb
{
    private const string Speed = "speed";

    private static readonly string[] Tables = [Speed];

    private readonly Option<string> _table = new("--table")
    {
        Description = "Which of the recipe's tables: speed.",
        HelpName = "name",
        Required = true,
        CompletionSources = { Tables },
    };
    private readonly Option<double> _seconds = new("--seconds")
    {
        Description = "That each row trains after it has warmed up; the step under way is finished.",
        HelpName = "S",
        DefaultValueFactory = _ => new BenchJob().Seconds,
    };
    private readonly Option<string[]> _methods = new("--method")
    {
        Description = $"Only rows of this method: {string.Join(", ", SpeedTable.Methods)}. May be given often.",
        HelpName = "name",
        DefaultValueFactory = _ => [],
        CompletionSources = { SpeedTable.Methods },
    };

    public BenchCommand() : base("bench",
        "The recipe's speed table as this machine reaches it, on pages and weights that are made on the spot; on a CPU, of a small model.",
        "phi3v bench --table speed --method lora --seconds 5")
    {
        foreach (var option in (Option[])[_table, _seconds, _methods]) Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var job = new BenchJob { Seconds = parsed.GetValue(_seconds), Methods = parsed.GetRequiredValue(_methods) };
        string[] problems =
            [.. KnownNames.Unknown("--table", parsed.GetRequiredValue(_table), Tables), .. ModelJobValidation.Problems(job)];
        if (problems.Length > 0) throw new InputException(problems);
        var view = new BenchView(await JobSession.RunAsync<BenchResult>(job, null, output, interrupted));
        output.Result(view.Document(), view.Show);
        return view.HasRun ? ExitCode.Done : ExitCode.Failed;
    }
}
