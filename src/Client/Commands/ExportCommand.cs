using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

internal sealed class ExportCommand : Verb
{
    private readonly Argument<string> _run = RunPlace.Argument();
    private readonly Option<long?> _step = new("--step") { Description = "The checkpoint's step; else the newest.", HelpName = "N" };
    private readonly Option<string?> _to = new("--to")
    {
        Description = "The folder to make; else export, or export-step-N, in the run's folder.",
        HelpName = "DIR",
    };
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public ExportCommand() : base("export", "Make an adapter or a model from a checkpoint of a run, while it trains or after.",
        "phi3v export last --step 400 --to adapter-400")
    {
        Arguments.Add(_run);
        foreach (var option in (Option[])[_step, _to, _cluster]) Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var (address, step) = (ClusterAddress.Find(parsed.GetValue(_cluster)), parsed.GetValue(_step));
        var run = await RunPlace.FindAsync(parsed.GetRequiredValue(_run), address, interrupted);
        var to = parsed.GetValue(_to) is { } given
            ? ModelArguments.Absolute(given)
            : Path.Combine(run, $"export{(step is null ? "" : $"-step-{step}")}");
        var result = await JobSession.RunAsync<ExportResult>(
            new ExportJob { Run = run, Step = step, To = to }, address, output, interrupted);
        output.Result(result, to => to.Line(
            $"step {result.Step} of {result.Run}: {result.Tensors} tensors, {Words.Took(result.Seconds)} "
                + $"→ {result.Output} ({result.Kind})"));
        return ExitCode.Done;
    }
}
