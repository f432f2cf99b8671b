using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>What makes a folder of shards a checkpoint: it is written last, and by rename. Without it there is none.</summary>
public sealed record CheckpointManifest
{
    public const string FileName = RunCheckpoints.Manifest;

    /// <summary>Counts what a reader of an earlier build could not make sense of.</summary>
    public const int ThisFormat = 1;

    private static readonly JsonSerializerOptions Form = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
    };

    public int Format { get; init; } = ThisFormat;
    public required string Run { get; init; }
    public required long Generation { get; init; }
    /// <summary>Steps that are committed in it.</summary>
    public required long Step { get; init; }
    /// <summary>replicated | sharded.</summary>
    public required string Mode { get; init; }
    public required int WorldSize { get; init; }
    /// <summary>Of base checkpoint and dataset: where another is found, nothing is restored.</summary>
    public required string Fingerprint { get; init; }
    /// <summary>The run's resolved spec, as JSON text.</summary>
    public required string Spec { get; init; }
    /// <summary>Elements of the flat buffer that the shards tile.</summary>
    public required long Elements { get; init; }
    /// <summary>Everything of the state but tensors and step records, as JSON text.</summary>
    public required string Scalars { get; init; }
    /// <summary>The shards, and the step records.</summary>
    public required IReadOnlyList<CheckpointFile> Files { get; init; }
    public required DateTime WrittenAt { get; init; }

    /// <exception cref="InputException">Damaged, or of a newer version.</exception>
    public static CheckpointManifest Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        try
        {
            using var text = JsonDocument.Parse(File.ReadAllText(path));
            var format = text.RootElement.GetProperty("format").GetInt32();
            if (format > ThisFormat)
                throw new InputException($"{path}: is of format {format}, this version reads up to {ThisFormat}; "
                    + "use the version that wrote it, or a newer one.");
            return text.Deserialize<CheckpointManifest>(Form) ?? throw new JsonException("it is empty");
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or IOException)
        {
            throw new InputException($"{path}: is damaged ({error.Message.Split('\n')[0]}); resume from another step.");
        }
    }

    /// <summary>Flushed and renamed into place.</summary>
    public void Write(string folder) => DurableFile.Write(Path.Combine(folder, FileName), JsonSerializer.SerializeToUtf8Bytes(this, Form));
}

/// <param name="Name">Within the folder.</param>
/// <param name="Sha256">Of all its bytes, in hex.</param>
public sealed record CheckpointFile(string Name, long Bytes, string Sha256)
{
    public static CheckpointFile Of(string path)
    {
        using var stream = File.OpenRead(path);
        return new(Path.GetFileName(path), stream.Length, Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(stream)));
    }

    /// <summary>Says beside a rank's shard that it is there, to whoever writes the manifest.</summary>
    internal void Tell(string folder) => DurableFile.Write(ToldPath(folder, Name), JsonSerializer.SerializeToUtf8Bytes(this));

    /// <returns>What was told of a file; null where nothing was yet.</returns>
    internal static CheckpointFile? Told(string folder, string name) =>
        File.Exists(ToldPath(folder, name)) ? JsonSerializer.Deserialize<CheckpointFile>(File.ReadAllBytes(ToldPath(folder, name))) : null;

    /// <summary>Once the manifest has them.</summary>
    internal static void RemoveTold(string folder)
    {
        foreach (var told in Directory.EnumerateFiles(folder, "state-*.json")) File.Delete(told);
    }

    private static string ToldPath(string folder, string name) => Path.Combine(folder, name + ".json");

    /// <returns>What is wrong with the file in <paramref name="folder"/>; null where it is what was written.</returns>
    public string? Problem(string folder)
    {
        var path = Path.Combine(folder, Name);
        try
        {
            if (!File.Exists(path)) return $"{path}: is missing";
            var found = Of(path);
            if (found.Bytes != Bytes) return $"{path}: has {found.Bytes} bytes, {Bytes} were written";
            return found.Sha256 == Sha256 ? null : $"{path}: is damaged, its content is not what was written";
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return $"{path}: cannot be read ({error.Message})";
        }
    }
}
