namespace Phi3VCluster.Grains.Interfaces;

/// <summary>Coordinates one run, whose id is its key: who trains together, what comes of faults and losses, and how the run ends.</summary>
[Alias("phi3v.IRunGrain")]
public interface IRunGrain : IGrainWithStringKey
{
    /// <exception cref="RunNotFoundException">Nobody submitted such a run.</exception>
    [Alias("Status")]
    Task<RunStatus> StatusAsync();

    /// <summary>Ends the run, wherever it is. Returns at once; the status says when it has ended.</summary>
    /// <exception cref="RunNotFoundException">Nobody submitted such a run.</exception>
    [Alias("Cancel")]
    Task<RunStatus> CancelAsync();

    /// <summary>The run's log from line <paramref name="fromLine"/> on, counted from 0. Old lines of a long run are gone.</summary>
    /// <exception cref="RunNotFoundException">Nobody submitted such a run.</exception>
    [Alias("Log")]
    Task<LogPage> LogAsync(long fromLine);

    /// <summary>From the cluster: the run was submitted, or an ended one is resumed, and waits.</summary>
    [Alias("Queue")]
    Task QueueAsync(QueuedRun run);

    /// <summary>From the cluster: what a queued run waits for. <see cref="Acknowledgement.Stale"/> if it waits no more.</summary>
    [Alias("Wait")]
    Task<Acknowledgement> WaitAsync(string waitingFor);

    /// <summary>From the cluster, each second: the run's seats, and which are lost or wanted back.</summary>
    [Alias("Tend")]
    Task<RunNeeds> TendAsync(Tending tending);

    /// <summary>From the cluster: nobody wants to know of the run any more. One that has not ended stays.</summary>
    [Alias("Forget")]
    Task ForgetAsync();

    /// <summary>From a node, every second and whenever a seat waits: where all its seats of this run are.</summary>
    [Alias("Report")]
    Task<ReportReply> ReportAsync(NodeReport report);
}
