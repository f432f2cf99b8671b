using System.Text.Json;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>Writes a model as a Hugging Face checkpoint folder, as like the one it came from as can be.</summary>
public static class HfExport
{
    /// <summary>Shards' largest size, as Hugging Face cuts them.</summary>
    public const long DefaultShardBytes = 5_000_000_000;

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>
    /// Writes every tensor of <paramref name="source"/> under its name, changed ones in place of the source's, and copies the
    /// configuration, tokenizer and processor files. An embedding's tied second name follows the first.
    /// </summary>
    /// <param name="changed">New values in the types to store them in; all others are stored as they lie in the source.</param>
    /// <param name="stop">Ends it between two tensors.</param>
    public static void Save(
        CheckpointFolder source, string targetFolder, IReadOnlyCollection<StoredTensor> changed, long shardBytes = DefaultShardBytes,
        CancellationToken stop = default)
    {
        Directory.CreateDirectory(targetFolder);
        CopyOtherFiles(source.Folder, targetFolder);
        if (changed.FirstOrDefault() is { } first) NameType(targetFolder, first.Type);
        var shards = Cut(All(source, changed).Select(tensor => Until(stop, tensor)), shardBytes);
        var files = shards.Count == 1
            ? [CheckpointFolder.SingleFile]
            : Enumerable.Range(1, shards.Count).Select(i => $"model-{i:d5}-of-{shards.Count:d5}.safetensors").ToArray();
        for (var i = 0; i < shards.Count; i++) SafeTensorsWriter.Write(Path.Combine(targetFolder, files[i]), shards[i]);
        WriteIndex(targetFolder, shards, files);
    }

    private static StoredTensor Until(CancellationToken stop, StoredTensor tensor) => tensor with
    {
        Values = () =>
        {
            stop.ThrowIfCancellationRequested();
            return tensor.Values();
        },
    };

    private static IEnumerable<StoredTensor> All(CheckpointFolder source, IReadOnlyCollection<StoredTensor> changed)
    {
        var byName = changed.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
        if (byName.TryGetValue(CheckpointFolder.Embedding, out var embedding))
            byName.TryAdd(CheckpointFolder.TiedEmbedding, embedding with { Info = new(CheckpointFolder.TiedEmbedding, embedding.Info.Shape) });
        return source.Names.Select(name => byName.TryGetValue(name, out var tensor) ? tensor : Unchanged(source, name));
    }

    private static StoredTensor Unchanged(CheckpointFolder source, string name)
    {
        var (info, type) = (source.Info(name), source.Type(name));
        return new(info, type, () =>
        {
            var tensor = empty(info.Shape, type);
            source.CopyTo(name, tensor);
            return tensor;
        });
    }

    private static List<List<StoredTensor>> Cut(IEnumerable<StoredTensor> tensors, long shardBytes)
    {
        var shards = new List<List<StoredTensor>> { new() };
        long filled = 0;
        foreach (var tensor in tensors)
        {
            if (filled > 0 && filled + tensor.SizeBytes > shardBytes)
            {
                shards.Add([]);
                filled = 0;
            }
            shards[^1].Add(tensor);
            filled += tensor.SizeBytes;
        }
        return shards;
    }

    private static void WriteIndex(string folder, List<List<StoredTensor>> shards, string[] files)
    {
        var path = Path.Combine(folder, CheckpointFolder.IndexFile);
        if (shards.Count == 1)
        {
            File.Delete(path); // of an earlier export: it would win over the single file
            return;
        }
        var index = new
        {
            metadata = new { total_size = shards.Sum(shard => shard.Sum(tensor => tensor.SizeBytes)) },
            weight_map = shards.Zip(files).SelectMany(pair => pair.First.Select(tensor => (tensor.Name, File: pair.Second)))
                .OrderBy(pair => pair.Name, StringComparer.Ordinal).ToDictionary(pair => pair.Name, pair => pair.File),
        };
        File.WriteAllText(path, JsonSerializer.Serialize(index, Indented));
    }

    /// <summary>Says in config.json what Hugging Face's loaders are to load the weights as.</summary>
    private static void NameType(string folder, ScalarType type)
    {
        var path = Path.Combine(folder, "config.json");
        var name = type.ToString().ToLowerInvariant();
        if (!File.Exists(path) || JsonNode.Parse(File.ReadAllText(path)) is not JsonObject config || (string?)config["torch_dtype"] == name) return;
        config["torch_dtype"] = name;
        File.Delete(path); // a copy of a file that may not be written may not be written either
        File.WriteAllText(path, config.ToJsonString(Indented));
    }

    private static void CopyOtherFiles(string source, string target)
    {
        if (Path.GetFullPath(source) == Path.GetFullPath(target))
            throw new ArgumentException("a model cannot be exported into the folder it is read from");
        foreach (var path in Directory.EnumerateFiles(source))
        {
            var name = Path.GetFileName(path);
            if (Copies(name)) File.Copy(path, Path.Combine(target, name), overwrite: true);
        }
    }

    /// <summary>Whether a file of the source goes along as it is: all but weights do.</summary>
    internal static bool Copies(string name) => !name.EndsWith(".safetensors", StringComparison.Ordinal)
        && !name.EndsWith(".index.json", StringComparison.Ordinal) && !CheckpointFolder.IsPickle(name);
}
