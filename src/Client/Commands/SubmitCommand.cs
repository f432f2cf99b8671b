using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
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
        return await SubmitAsync(new(spec), parsed.GetValue(_wait), parsed.GetValue(_cluster), output, interrupted);
    }

    /// <summary>Queues the run, or stays to its end.</summary>
    public static async Task<int> SubmitAsync(RunRequest request, bool wait, string? cluster, Output output, CancellationToken interrupted)
    {
        if (!wait) return await QueueAsync(request, cluster, output, interrupted);

        var (ended, phase) = await RunSession.RunAsync(request, ClusterAddress.Find(cluster), output, interrupted);
        var report = WrittenReport.Read(ended.Output);
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

    /// <exception cref="NoClusterException">There is none to queue a run at.</exception>
    public static ClusterAddress RequireCluster(string? given) => ClusterAddress.Require(given, "--wait runs it here and stays to its end");

    private static async Task<int> QueueAsync(RunRequest request, string? given, Output output, CancellationToken interrupted)
    {
        await using var cluster = await ClusterConnection.OpenAsync(RequireCluster(given), interrupted);
        await RunSession.RequireDeviceAsync(cluster, request.Spec.Cluster);
        var submitted = await request.SubmitAsync(cluster);
        LocalRuns.SaveBegun(submitted.RunId, request.Spec.Name, submitted.Output);
        output.Result(
            new { Run = submitted.RunId, State = Words.Of(RunState.Queued), submitted.Output },
            _ => output.Line($"queued {submitted.RunId} → {submitted.Output}\nwatch it: phi3v watch {submitted.RunId}"));
        return ExitCode.Done;
    }
}
