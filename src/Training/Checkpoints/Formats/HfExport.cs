using System.Text.Json;
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
    /// <param name="numCrops">What the image processor's file is to say; null, what the source's says.</param>
    public static void Save(
        CheckpointFolder source, string targetFolder, IReadOnlyCollection<StoredTensor> changed, long shardBytes = DefaultShardBytes,
        CancellationToken stop = default, int? numCrops = null)
    {
        if (Path.GetFullPath(source.Folder) == Path.GetFullPath(targetFolder))
            throw new ArgumentException("a model cannot be exported into the folder it is read from");
        Directory.CreateDirectory(targetFolder);
        ModelFiles.Copy(source.Folder, targetFolder, changed.FirstOrDefault()?.Type, numCrops);
        var shards = Cut(All(source, changed).Select(tensor => Until(stop, tensor)), shardBytes);
        var files = shards.Count == 1
            ? [CheckpointFolder.SingleFile]
            : Enumerable.Range(1, shards.Count).Select(i => $"model-{i:d5}-of-{shards.Count:d5}.safetensors").ToArray();
        for (var i = 0; i < shards.Count; i++) SafeTensorsWriter.Write(Path.Combine(targetFolder, files[i]), shards[i]);
        WriteIndex(targetFolder, shards, files);
    }

    /// <summary>Names of the files of a model's folder that go along beside the weights.</summary>
    internal static IReadOnlyList<string> Copied(string modelFolder) => ModelFiles.Names(modelFolder);

    /// <summary>
    /// Makes configurations that name code beside them, which is not there, name it in the released model's repository: transformers
    /// loads no such folder otherwise.
    /// </summary>
    /// <returns>A sentence about it, where anything was changed.</returns>
    public static IReadOnlyList<string> PointToCode(string folder) => AutoMap.PointToCode(folder);

    /// <summary>The model's image processor's file beside an adapter, which must be used with the crops it was trained with.</summary>
    public static void SaveProcessor(string modelFolder, string adapterFolder, int numCrops) =>
        ModelFiles.CopyProcessor(modelFolder, adapterFolder, numCrops);

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
        {
            var tied = new TensorInfo(CheckpointFolder.TiedEmbedding, embedding.Info.Shape);
            byName.TryAdd(tied.Name, embedding with { Info = tied });
        }
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
            File.Delete(path); // of an earlier export
            return;
        }
        File.Delete(Path.Combine(folder, CheckpointFolder.SingleFile)); // it would win over the shards
        var index = new
        {
            metadata = new { total_size = shards.Sum(shard => shard.Sum(tensor => tensor.SizeBytes)) },
            weight_map = shards.Zip(files).SelectMany(pair => pair.First.Select(tensor => (tensor.Name, File: pair.Second)))
                .OrderBy(pair => pair.Name, StringComparer.Ordinal).ToDictionary(pair => pair.Name, pair => pair.File),
        };
        File.WriteAllText(path, JsonSerializer.Serialize(index, Indented));
    }
}
