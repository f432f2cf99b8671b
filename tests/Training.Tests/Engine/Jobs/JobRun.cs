using System.Diagnostics;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Engine.Jobs;

namespace Phi3VCluster.Training.Tests.Engine.Jobs;

/// <summary>A job as a node does it, without grains: the test plays the CLI.</summary>
internal static class JobRun
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2);

    public static JobProgress ToEnd(ModelJob job)
    {
        using var jobs = new ModelJobs();
        jobs.Start("job", job);
        return Ended(jobs, "job");
    }

    public static JobProgress Ended(ModelJobs jobs, string id)
    {
        var since = Stopwatch.StartNew();
        while (jobs.Find(id)!.State == JobState.Running)
        {
            if (since.Elapsed > Deadline) throw new TimeoutException($"the job did not end: {jobs.Find(id)}");
            Thread.Sleep(5);
        }
        return jobs.Find(id)!;
    }

    public static GenerateResult Generate(GenerateJob job) => ModelJobJson.FromText<GenerateResult>(Done(job));

    public static EvaluateResult Evaluate(EvaluateJob job) => ModelJobJson.FromText<EvaluateResult>(Done(job));

    public static MergeResult Merge(MergeJob job) => ModelJobJson.FromText<MergeResult>(Done(job));

    public static InspectResult Inspect(InspectJob job) => ModelJobJson.FromText<InspectResult>(Done(job));

    /// <summary>All that is wrong, a line each.</summary>
    public static string Refused(ModelJob job)
    {
        var end = ToEnd(job);
        Assert.True(end.State == JobState.Refused, $"{end.State}: {end.ResultJson} {end.Error}");
        return string.Join('\n', end.Problems);
    }

    private static string Done(ModelJob job)
    {
        var end = ToEnd(job);
        Assert.True(end.State == JobState.Done, $"{end.State}: {end.Error} {string.Join('\n', end.Problems)}");
        return end.ResultJson!;
    }
}
