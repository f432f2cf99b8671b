using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>A run's checkpoints in its folder, as <see cref="RunCheckpoints"/> names them.</summary>
public sealed class FolderStore(string runFolder)
{
    public string Root { get; } = RunCheckpoints.RootOf(runFolder);

    public string FolderOf(long step, long generation) => Path.Combine(Root, RunCheckpoints.NameOf(step, generation));

    /// <summary>Complete ones, the newest first. Nothing of them but the name has been looked at.</summary>
    public IReadOnlyList<CheckpointEntry> Complete() => [.. RunCheckpoints.Find(runFolder).Where(one => one.IsComplete)];

    /// <summary>When the newest was complete, UTC; null where there is none.</summary>
    public DateTime? NewestWrittenAt() => Complete() is [var newest, ..]
        ? File.GetLastWriteTimeUtc(Path.Combine(newest.Folder, RunCheckpoints.Manifest))
        : null;

    /// <summary>The one that a run goes on from: the newest that can be read.</summary>
    /// <param name="problems">Takes what is wrong with newer ones.</param>
    /// <returns>Null where there is none.</returns>
    public StoredCheckpoint? Newest(Action<string> problems) => FirstReadable(Complete(), problems);

    /// <param name="problems">Takes what is wrong with newer ones of the step.</param>
    /// <exception cref="InputException">The step has none that can be read; says which there are.</exception>
    public StoredCheckpoint OfStep(long step, Action<string> problems)
    {
        var (all, found) = (Complete(), new List<string>());
        var readable = FirstReadable(all.Where(one => one.Step == step), found.Add);
        if (readable is not null)
        {
            found.ForEach(problems);
            return readable;
        }
        var known = all.Count == 0 ? "there is none" : $"there are {string.Join(", ", all.Select(one => one.Step).Distinct().Order())}";
        throw new InputException([.. found, $"step: no checkpoint of this step that can be read is in {Root}, got {step}; {known}."]);
    }

    /// <summary>
    /// Removes all but the newest, manifests first, and what was never completed; not what <paramref name="kept"/> names, nor what somebody
    /// reads.
    /// </summary>
    public void Retain(int keep, string? kept)
    {
        var complete = Complete();
        foreach (var one in complete.Skip(keep).Where(one => one.Folder != kept)) RunCheckpoints.Remove(one.Folder);
        if (complete.Count == 0) return;
        var newest = (complete[0].Generation, complete[0].Step);
        foreach (var one in RunCheckpoints.Find(runFolder)
            .Where(one => !one.IsComplete && (one.Generation, one.Step).CompareTo(newest) < 0))
        {
            Directory.Delete(one.Folder, recursive: true);
        }
    }

    private static StoredCheckpoint? FirstReadable(IEnumerable<CheckpointEntry> candidates, Action<string> problems)
    {
        foreach (var one in candidates)
        {
            try
            {
                return StoredCheckpoint.Open(one.Folder);
            }
            catch (InputException error)
            {
                foreach (var problem in error.Problems) problems(problem);
            }
        }
        return null;
    }

}
