using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>A complete checkpoint whose every byte is what was written. It is not removed until this is disposed.</summary>
public sealed class StoredCheckpoint : IDisposable
{
    internal const string RecordsFile = "history.jsonl";

    private readonly IDisposable _hold;

    private StoredCheckpoint(string folder, CheckpointManifest manifest, IDisposable hold) =>
        (Folder, Manifest, _hold) = (folder, manifest, hold);

    public string Folder { get; }
    public CheckpointManifest Manifest { get; }

    /// <summary>The step records, a line each.</summary>
    public string History => File.ReadAllText(Path.Combine(Folder, RecordsFile));

    /// <summary>Reads every file once.</summary>
    /// <exception cref="InputException">A file is missing or damaged, or of a newer version.</exception>
    public static StoredCheckpoint Open(string folder)
    {
        var hold = RunCheckpoints.Hold(folder);
        try
        {
            var manifest = CheckpointManifest.Read(folder);
            var problems = manifest.Files.Select(file => file.Problem(folder)).OfType<string>().ToList();
            return problems.Count == 0
                ? new(folder, manifest, hold)
                : throw new InputException([.. problems.Select(problem => $"{problem}; resume from another step.")]);
        }
        catch
        {
            hold.Dispose();
            throw;
        }
    }

    public void Dispose() => _hold.Dispose();

    /// <summary>Gives every shard to <paramref name="take"/>, which must not keep it.</summary>
    public void Read(Action<StateShard> take)
    {
        foreach (var file in Manifest.Files.Where(file => file.Name != RecordsFile))
        {
            using var tensors = SafeTensorsFile.Open(Path.Combine(Folder, file.Name));
            foreach (var shard in ShardFile.Read(tensors))
                using (shard) take(shard);
        }
    }
}
