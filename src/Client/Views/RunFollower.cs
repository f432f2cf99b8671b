using System.Diagnostics;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Views;

/// <summary>Asks for a run's status once a second and shows it, until the run has ended.</summary>
internal sealed class RunFollower(ClusterConnection cluster, Output output)
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60); // a coordinator that moves to another node takes seconds
    private static readonly TimeSpan PlainLineEvery = TimeSpan.FromSeconds(2), PlainClockEvery = TimeSpan.FromSeconds(15);

    private readonly PhaseWatch _watch = new();
    private readonly Stopwatch _sinceLine = Stopwatch.StartNew();
    private LiveRegion? _region;
    private string _lastPhase = "", _lastState = "";

    /// <summary>The last phase before the end.</summary>
    public string Phase => _watch.Phase;

    /// <param name="clusterEnded">Whether to give up at once when nobody answers.</param>
    /// <exception cref="NoClusterException">Nobody answered for a minute.</exception>
    public async Task<RunStatus> FollowAsync(string run, Func<bool> clusterEnded, CancellationToken interrupted)
    {
        _region = output.IsLive ? new(output) : null;
        try
        {
            return await UntilEndAsync(run, clusterEnded, interrupted);
        }
        finally
        {
            _region?.Clear();
        }
    }

    private void Show(RunStatus status)
    {
        if (!status.IsFinal) _watch.Enter(RunStatusText.Phase(status));
        if (_region is not null)
            _region.Draw([$"{Bar.Of(RunStatusText.Share(status), output)}  {status.Run}", RunStatusText.Progress(status, _watch.Seconds)]);
        else
            ShowPlain(status);
    }

    // A line where something has changed; the clock alone is worth one now and then.
    private void ShowPlain(RunStatus status)
    {
        var state = RunStatusText.Progress(status, phaseSeconds: null);
        var every = state == _lastState ? PlainClockEvery : PlainLineEvery;
        if (status.IsFinal || (_watch.Phase == _lastPhase && _sinceLine.Elapsed < every)) return;
        output.Line($"{status.Run}  {RunStatusText.Progress(status, _watch.Seconds)}");
        (_lastPhase, _lastState) = (_watch.Phase, state);
        _sinceLine.Restart();
    }

    private void Tell(string note)
    {
        if (_region is not null) _region.Print(note);
        else output.Line(note);
    }

    private async Task<RunStatus> UntilEndAsync(string run, Func<bool> clusterEnded, CancellationToken interrupted)
    {
        var (sinceAnswer, told) = (Stopwatch.StartNew(), 0);
        while (true)
        {
            try
            {
                var status = await cluster.StatusAsync(run).WaitAsync(interrupted);
                sinceAnswer.Restart();
                for (; told < status.Notes.Count; told++) Tell(status.Notes[told]);
                Show(status);
                if (status.IsFinal) return status;
            }
            catch (NoClusterException) when (sinceAnswer.Elapsed < Patience && !clusterEnded())
            {
                // One lost answer is no lost cluster.
            }
            await Task.Delay(Poll, interrupted);
        }
    }
}
