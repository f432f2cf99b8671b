using System.Diagnostics;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Grains.Interfaces;
using Spectre.Console;

namespace Phi3VCluster.Client.Views;

/// <summary>Asks for a run's status once a second and shows it, until the run has ended.</summary>
internal sealed class RunFollower(ClusterConnection cluster, Output output)
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60); // a coordinator that moves to another node takes seconds
    private static readonly TimeSpan PlainLineEvery = TimeSpan.FromSeconds(2);

    /// <param name="clusterEnded">Whether to give up at once when nobody answers.</param>
    /// <exception cref="NoClusterException">Nobody answered for a minute.</exception>
    public Task<RunStatus> FollowAsync(string run, Func<bool> clusterEnded, CancellationToken interrupted) =>
        output.IsLive ? FollowLiveAsync(run, clusterEnded, interrupted) : FollowPlainAsync(run, clusterEnded, interrupted);

    private Task<RunStatus> FollowLiveAsync(string run, Func<bool> clusterEnded, CancellationToken interrupted) => output.Screen
        .Live(new Text(run))
        .AutoClear(true)
        .StartAsync(screen => UntilEndAsync(run, clusterEnded, status =>
        {
            screen.UpdateTarget(new Rows(BarOf(status), new Text(Words.Progress(status)) { Overflow = Overflow.Ellipsis }));
            screen.Refresh();
        }, interrupted));

    private static Markup BarOf(RunStatus status) =>
        new($"{Bar.Of(status.TotalSteps > 0 ? (double)status.Step / status.TotalSteps : 0)}  {Markup.Escape(status.Run)}");

    private Task<RunStatus> FollowPlainAsync(string run, Func<bool> clusterEnded, CancellationToken interrupted)
    {
        var (sinceLine, lastPhase, lastLine) = (Stopwatch.StartNew(), "", "");
        return UntilEndAsync(run, clusterEnded, status =>
        {
            var line = Words.Progress(status);
            if (line == lastLine || (status.Phase == lastPhase && sinceLine.Elapsed < PlainLineEvery)) return;
            output.Line($"{run}  {line}");
            (lastPhase, lastLine) = (status.Phase, line);
            sinceLine.Restart();
        }, interrupted);
    }

    private void Tell(string note)
    {
        if (output.IsLive) output.Screen.WriteLine(note); // knows that a bar is being drawn below
        else output.Line(note);
    }

    private async Task<RunStatus> UntilEndAsync(string run, Func<bool> clusterEnded, Action<RunStatus> show, CancellationToken interrupted)
    {
        var (sinceAnswer, told) = (Stopwatch.StartNew(), 0);
        while (true)
        {
            try
            {
                var status = await cluster.StatusAsync(run).WaitAsync(interrupted);
                sinceAnswer.Restart();
                for (; told < status.Notes.Count; told++) Tell(status.Notes[told]);
                show(status);
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
