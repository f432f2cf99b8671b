using System.Text;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Engine;

/// <summary>What a rank tells of its generation; rank 0 of the run, too.</summary>
internal sealed class GenerationMetrics
{
    private readonly RunHome _home;
    private readonly ModelSizes? _sizes;
    private readonly RunReading? _run; // on rank 0, before its first step

    /// <param name="nodes">Of the generation.</param>
    public GenerationMetrics(RunHome home, ICollective collective, int nodes)
    {
        (_home, _sizes) = (home, ModelSizes.Read(home.Spec.Model.Path));
        if (collective.Rank == 0)
        {
            var row = SpeedRowLabels.Of(home, nodes, collective.WorldSize);
            _run = new(row, collective.WorldSize, collective.Generation, CheckpointSpec.Of(home.Spec).EverySteps > 0 ? SafeSince() : null);
        }
        home.Metrics.Join(collective.Rank, _run);
    }

    /// <summary>All ranks together.</summary>
    public static int CountNodes(RunHome home, ICollective collective) =>
        RankMessages.Exchange(collective, Encoding.UTF8.GetBytes(home.Metrics.Node)).Select(Encoding.UTF8.GetString).Distinct().Count();

    /// <param name="epochProgress">Share of the step's epoch that is committed.</param>
    public void StepCommitted(StepRecord step, double epochProgress)
    {
        var throughput = _home.Throughput;
        _home.Metrics.StepCommitted(_run is null ? null : _run with
        {
            Last = step,
            ImagesPerSecond = throughput.RecentImagesPerSecond,
            EpochProgress = epochProgress,
            Utilization = Utilization.Of(_home.Spec, _sizes, _run.Row.Gpu, _run.Row.Gpus, throughput.RecentTokensPerSecond),
        });
    }

    /// <summary>An earlier rank 0, or life of the run, may have written the newest checkpoint.</summary>
    private Func<DateTime> SafeSince()
    {
        var writer = _home.Writer;
        var known = _home.Store.NewestWrittenAt() ?? _home.State.Generations[0].At;
        return () => writer.NewestAt > known ? writer.NewestAt : known;
    }
}
