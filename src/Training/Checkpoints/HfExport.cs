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
    /// <param name="changed">New values by name; each is stored in the type it comes in, all others as they lie in the source.</param>
    /// <param name="type">Store all tensors as this instead.</param>
    public static void Save(CheckpointFolder source, string targetFolder, IReadOnlyDictionary<string, Tensor> changed,
        ScalarType? type = null, long shardBytes = DefaultShardBytes)
    {
        Directory.CreateDirectory(targetFolder);
        CopyOtherFiles(source.Folder, targetFolder);
        if ((type ?? changed.Values.FirstOrDefault()?.dtype) is { } stored) NameType(targetFolder, stored);
        var shards = Cut(source, changed, type, shardBytes);
        var files = shards.Count == 1
            ? [CheckpointFolder.SingleFile]
            : Enumerable.Range(1, shards.Count).Select(i => $"model-{i:d5}-of-{shards.Count:d5}.safetensors").ToArray();
        for (var i = 0; i < shards.Count; i++) WriteShard(source, Path.Combine(targetFolder, files[i]), shards[i], changed, type);
        WriteIndex(source, targetFolder, shards, files, name => SizeBytes(source, changed, name, type));
    }

    private static void WriteShard(
        CheckpointFolder source, string path, List<string> names, IReadOnlyDictionary<string, Tensor> changed, ScalarType? type)
    {
        using var scope = NewDisposeScope();
        SafeTensorsWriter.Write(path, [.. names.Select(name => (name, Value(name)))], type: type);

        Tensor Value(string name) => Changed(changed, name)?.detach() ?? source.View(name);
    }

    /// <summary>An embedding's tied second name follows the first.</summary>
    private static Tensor? Changed(IReadOnlyDictionary<string, Tensor> changed, string name) =>
        changed.GetValueOrDefault(name) ?? (name == CheckpointFolder.TiedEmbedding ? changed.GetValueOrDefault(CheckpointFolder.Embedding) : null);

    private static List<List<string>> Cut(
        CheckpointFolder source, IReadOnlyDictionary<string, Tensor> changed, ScalarType? type, long shardBytes)
    {
        var shards = new List<List<string>> { new() };
        long filled = 0;
        foreach (var name in source.Names)
        {
            var size = SizeBytes(source, changed, name, type);
            if (filled > 0 && filled + size > shardBytes)
            {
                shards.Add([]);
                filled = 0;
            }
            shards[^1].Add(name);
            filled += size;
        }
        return shards;
    }

    private static void WriteIndex(
        CheckpointFolder source, string folder, List<List<string>> shards, string[] files, Func<string, long> sizeBytes)
    {
        var path = Path.Combine(folder, CheckpointFolder.IndexFile);
        if (shards.Count == 1)
        {
            File.Delete(path); // of an earlier export: it would win over the single file
            return;
        }
        var index = new
        {
            metadata = new { total_size = source.Names.Sum(sizeBytes) },
            weight_map = shards.Zip(files).SelectMany(pair => pair.First.Select(name => (Name: name, File: pair.Second)))
                .OrderBy(pair => pair.Name, StringComparer.Ordinal).ToDictionary(pair => pair.Name, pair => pair.File),
        };
        File.WriteAllText(path, JsonSerializer.Serialize(index, Indented));
    }

    private static long SizeBytes(CheckpointFolder source, IReadOnlyDictionary<string, Tensor> changed, string name, ScalarType? type) =>
        source.Info(name).ElementCount * StoredType.Of(type ?? Changed(changed, name)?.dtype ?? source.Type(name)).ElementBytes;

    /// <summary>Says in config.json what Hugging Face's loaders are to load the weights as.</summary>
    private static void NameType(string folder, ScalarType type)
    {
        var path = Path.Combine(folder, "config.json");
        var name = type.ToString().ToLowerInvariant();
        if (!File.Exists(path) || JsonNode.Parse(File.ReadAllText(path)) is not JsonObject config || (string?)config["torch_dtype"] == name) return;
        config["torch_dtype"] = name;
        File.WriteAllText(path, config.ToJsonString(Indented));
    }

    private static void CopyOtherFiles(string source, string target)
    {
        if (Path.GetFullPath(source) == Path.GetFullPath(target))
            throw new ArgumentException("a model cannot be exported into the folder it is read from");
        foreach (var path in Directory.EnumerateFiles(source))
        {
            var name = Path.GetFileName(path);
            var isWeights = name.EndsWith(".safetensors", StringComparison.Ordinal)
                || name.EndsWith(".index.json", StringComparison.Ordinal) || CheckpointFolder.IsPickle(name);
            if (!isWeights) File.Copy(path, Path.Combine(target, name), overwrite: true);
        }
    }
}
