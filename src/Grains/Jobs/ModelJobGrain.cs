using Orleans.Placement;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Ranks;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Engine.Jobs;

namespace Phi3VCluster.Grains.Jobs;

/// <summary>The way to one of the node's jobs. Does no work itself, and lets the job go when nobody waits for it any more.</summary>
[NodePlacement, Immovable]
internal sealed class ModelJobGrain(IModelJobs jobs, TimeProvider time) : Grain, IModelJobGrain
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(10);

    private long _lastAsked;

    private string Id => this.GetPrimaryKeyString();

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _lastAsked = time.GetTimestamp();
        this.RegisterGrainTimer(TickAsync, new GrainTimerCreationOptions(Tick, Tick));
        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        jobs.Forget(Id);
        return Task.CompletedTask;
    }

    public Task StartAsync(string jobJson)
    {
        _lastAsked = time.GetTimestamp();
        jobs.Start(Id, ModelJobJson.FromText<ModelJob>(jobJson));
        return Task.CompletedTask;
    }

    public Task<ModelJobStatus> StatusAsync()
    {
        _lastAsked = time.GetTimestamp();
        return Task.FromResult(ToWire(jobs.Find(Id)));
    }

    public Task<ModelJobStatus> CancelAsync()
    {
        jobs.Cancel(Id);
        return StatusAsync();
    }

    private Task TickAsync()
    {
        if (time.GetElapsedTime(_lastAsked) > Patience) DeactivateOnIdle();
        return Task.CompletedTask;
    }

    internal static ModelJobStatus ToWire(JobProgress? job) => job is null ? new() { State = ModelJobState.Lost } : new()
    {
        State = (ModelJobState)job.State, // the wire's list begins with the data plane's; a test compares them
        Phase = job.Phase,
        Done = job.Done,
        Total = job.Total,
        ResultJson = job.ResultJson,
        Problems = job.Problems,
        Error = job.Error,
    };
}
