using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>The node's jobs. Every call returns at once, from any thread; the work is done on a thread a job.</summary>
public interface IModelJobs
{
    /// <summary>Starts a job; a second start of the same id does nothing.</summary>
    void Start(string id, ModelJob job);

    /// <returns>Null for a job that was never started here, or was forgotten.</returns>
    JobProgress? Find(string id);

    /// <summary>Ends a job between two tokens or samples.</summary>
    void Cancel(string id);

    /// <summary>Ends the job if it still runs, and drops its result.</summary>
    void Forget(string id);
}
