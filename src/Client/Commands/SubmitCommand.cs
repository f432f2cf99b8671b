using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

internal sealed class SubmitCommand : Verb
{
    private readonly Argument<string> _spec = SpecSource.Argument();
    private readonly Option<string[]> _set = SpecSource.SetOption();
    private readonly Option<bool> _wait = new("--wait")
    {
        Description = "Stay until the run has ended. With no cluster, start a local one for it.",
    };
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public SubmitCommand() : base(
        "submit", "Check a run spec and queue the run.",
        "phi3v submit recipes/quickstart.yaml --set epochs=2 --set model.path=/models/phi-3-vision --wait")
    {
        Arguments.Add(_spec);
        Options.Add(_set);
        Options.Add(_wait);
        Options.Add(_cluster);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var address = ClusterAddress.Find(parsed.GetValue(_cluster));
        var (reading, recipe) = SpecSource.Read(parsed.GetRequiredValue(_spec), parsed.GetRequiredValue(_set));
        var spec = SpecSource.Check(reading, address, output, recipe);
        if (!parsed.GetValue(_wait)) return await QueueAsync(spec, parsed, output, interrupted);

        var (ended, phase) = await RunSession.RunAsync(spec, address, output, interrupted);
        var report = RunReport.Read(ended.Output);
        output.Result(
            new
            {
                ended.Run,
                State = Words.Of(ended.State),
                ended.Output,
                Steps = report.Steps ?? ended.Step,
                FinalLoss = report.FinalLoss ?? ended.Loss,
                ended.Seconds,
                ended.WorldSize,
                ended.Metric,
                ended.EvalBefore,
                ended.EvalAfter,
                ended.Error,
            },
            to => RunSummary.Show(to, ended, phase));
        return RunSummary.ExitCodeOf(ended);
    }

    private async Task<int> QueueAsync(RunSpec spec, ParseResult parsed, Output output, CancellationToken interrupted)
    {
        await using var cluster = await ClusterConnection.OpenAsync(
            ClusterAddress.Require(parsed.GetValue(_cluster), "--wait runs it here and stays to its end"), interrupted);
        await RunSession.RequireDeviceAsync(cluster, spec.Cluster);
        var submitted = await cluster.SubmitAsync(spec);
        output.Result(
            new { Run = submitted.RunId, State = Words.Of(RunState.Queued), submitted.Output },
            _ => output.Line($"queued {submitted.RunId} → {submitted.Output}\nwatch it: phi3v watch {submitted.RunId}"));
        return ExitCode.Done;
    }
}
