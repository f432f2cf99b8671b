namespace Phi3VCluster.Grains.Interfaces;

/// <summary>Coordinates one run, whose id is its key: rendezvous, epoch barriers, and how the run ends.</summary>
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

    /// <summary>From the cluster: the run was submitted and waits.</summary>
    [Alias("Queue")]
    Task QueueAsync(QueuedRun run);

    /// <summary>From the cluster: what a queued run waits for. <see cref="Answer.Stale"/> if it waits no more.</summary>
    [Alias("Wait")]
    Task<Answer> WaitAsync(string waitingFor);

    /// <summary>From the cluster: these ranks are the run's now. <see cref="Answer.Stale"/> gives them back.</summary>
    [Alias("Start")]
    Task<Answer> StartAsync(Lease lease);

    /// <summary>From the cluster: a silo is gone, and the ranks on it. The node's next silo is another one.</summary>
    [Alias("NodeLost")]
    Task NodeLostAsync(string node, string silo, string reason);

    /// <summary>From a rank's grain: the rank is ready, or says why it cannot be.</summary>
    [Alias("Join")]
    Task<Answer> JoinAsync(RankJoin join);

    /// <summary>From a node, every second and whenever a rank waits: where all its ranks of this run are.</summary>
    [Alias("Report")]
    Task<ReportReply> ReportAsync(NodeReport report);

    /// <summary>A rank cannot be reached. Stale generations are ignored.</summary>
    [Alias("RankLost")]
    Task RankLostAsync(long generation, int rank, string reason);
}
