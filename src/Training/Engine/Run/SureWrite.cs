using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// What rank 0 writes for all, and nobody goes on before: a lost rank 0 would leave a gap. A disk that refuses costs nothing of what was
/// trained, for it is in memory: the run gives up what it can spare there, and tries again until there is room, or nobody makes any.
/// </summary>
/// <param name="say">Takes a sentence for the run's log.</param>
internal sealed class SureWrite(RunHome home, ICollective collective, Action<string> say, CancellationToken stop)
{
    private const int Written = 0, Refused = 1, GivenUp = 2;

    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);

    private TimeSpan Patience => TimeSpan.FromSeconds(home.Spec.Failure.DiskSeconds);

    /// <summary>All ranks together; only rank 0 writes.</summary>
    /// <param name="what">As in "the result".</param>
    /// <param name="write">Leaves nothing of a failed try behind.</param>
    /// <exception cref="RankFault">The disk refused for too long; says what is kept and what to do.</exception>
    public void Do(string what, Action write)
    {
        string? refusal = null;
        for (var (since, tries) = (Stopwatch.GetTimestamp(), 1); ; tries++)
        {
            var waited = Stopwatch.GetElapsedTime(since);
            var outcome = collective.Rank > 0 || TryWrite(write, ref refusal) ? Written
                : waited < Patience || tries == 1 ? Refused : GivenUp;
            var known = RankMessages.Largest(collective, outcome);
            if (known == Written) break;
            if (known == GivenUp)
                throw collective.Rank == 0
                    ? new RankFault(LastWord(what, refusal!))
                    : new RankFault("rank 0 cannot write", kind: FaultKind.Echo);
            if (collective.Rank == 0 && tries == 1) MakeRoom(what, refusal!);
            else if (collective.Rank == 0 && tries == 2)
                say($"{what} cannot be written, all that was trained is held in memory: {refusal}; "
                    + $"make room and the run goes on by itself, within {Patience.TotalSeconds:0} s");
            Activity.Report($"s of waiting for the disk to take {what}", (long)waited.TotalSeconds, (long)Patience.TotalSeconds);
            if (tries > 1) stop.WaitHandle.WaitOne(Look);
            stop.ThrowIfCancellationRequested();
        }
        if (collective.Rank == 0 && refusal is not null) say($"{what} is written");
    }

    private static bool TryWrite(Action write, ref string? refusal)
    {
        try
        {
            write();
            return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            refusal = error.Message;
            return false;
        }
    }

    /// <summary>Older checkpoints, and features of images.</summary>
    private void MakeRoom(string what, string refusal)
    {
        home.Writer.Wait();
        var older = home.Store.Complete().Skip(1).Select(one => one.Step).ToList();
        home.Store.Retain(keep: 1, kept: null);
        home.Features?.LeaveDisk();
        if (older.Count > 0)
            say($"{what} could not be written ({refusal}): older checkpoints made room for it, of step {string.Join(", ", older)}");
    }

    private string LastWord(string what, string refusal)
    {
        var kept = home.Store.Complete() is [var newest, ..] ? newest : null;
        return $"{what} could not be written for {Patience.TotalSeconds:0} s: {refusal}"
            + (Missing() is { } bytes ? $"; {MachineFit.Gigabytes(bytes)} are missing in {home.Output}" : "") + ". "
            + (kept is null
                ? $"No checkpoint is kept; make room, then `phi3v resume {home.Run}` begins it anew."
                : $"The checkpoint of step {kept.Step} of {home.Plan.Total} is kept; "
                    + $"make room, then `phi3v resume {home.Run}` goes on from it.");
    }

    /// <summary>For the result, the one thing that is large.</summary>
    private long? Missing() => home.State.Position.Stage == TrainingStage.Export
        && MachineFit.FreeBytes(home.Output) is { } free
        && TrainedExport.NeedOf(home.Spec, home.Compute.Type, home.Plan.Total).Result - free is > 0 and var missing ? missing : null;
}
