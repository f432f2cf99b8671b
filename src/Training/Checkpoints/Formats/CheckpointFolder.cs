using System.Text.Json;
using Phi3VCluster.Spec;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>
/// The weights of a Hugging Face checkpoint folder: one safetensors file, or shards with an index. Of two sets the single file is read,
/// as transformers does.
/// </summary>
public sealed class CheckpointFolder : IDisposable
{
    internal const string SingleFile = "model.safetensors";
    internal const string IndexFile = "model.safetensors.index.json";

    /// <summary>A second name some checkpoints give to the token embedding.</summary>
    public const string TiedEmbedding = "model.vision_embed_tokens.wte.weight";
    internal const string Embedding = "model.embed_tokens.weight";

    private readonly List<SafeTensorsFile> _files = [];
    private readonly Dictionary<string, SafeTensorsFile> _byName = new(StringComparer.Ordinal);

    private CheckpointFolder(string folder) => Folder = folder;

    public string Folder { get; }

    /// <summary>Sentences about what is there and was not read.</summary>
    public IReadOnlyList<string> Notes { get; private set; } = [];

    /// <summary>All names, the tied one included, in the files' order.</summary>
    public IReadOnlyList<string> Names => [.. _files.SelectMany(file => file.Names).Where(_byName.ContainsKey)];

    /// <summary>Opens the folder; weights are read only when asked for. Pickle files are never opened: one can run any code.</summary>
    /// <exception cref="InputException">No weights there, or unsound ones; all problems at once.</exception>
    public static CheckpointFolder Open(string folder)
    {
        var result = new CheckpointFolder(folder);
        var problems = new List<string>();
        if (File.Exists(Path.Combine(folder, SingleFile))) result.OpenSingle(problems);
        else if (File.Exists(Path.Combine(folder, IndexFile))) result.OpenShards(Path.Combine(folder, IndexFile), problems);
        else problems.Add(NoWeights(folder));
        if (problems.Count == 0) return result;
        result.Dispose();
        throw new InputException(ProblemList.Short(problems, folder));
    }

    /// <summary>Holds the names and shapes against those a model needs.</summary>
    /// <param name="mayBeMissing">Names a checkpoint may leave out.</param>
    /// <exception cref="InputException">Tensors are missing, unknown or of another shape; the first of them listed.</exception>
    public void Check(IReadOnlyList<TensorInfo> expected, Predicate<string> mayBeMissing)
    {
        if (ForeignNames.Explain(_byName.Keys, expected.Select(info => info.Name).ToHashSet()) is { } foreign)
            throw new InputException($"{Folder}: {foreign}");
        var problems = new List<string>();
        foreach (var info in expected)
        {
            if (_byName.ContainsKey(info.Name)) CheckShape(info.Name, info.Shape);
            else if (!mayBeMissing(info.Name)) problems.Add($"{Folder}: the tensor {info.Name} is missing; download the checkpoint again.");
        }
        var known = expected.ToDictionary(info => info.Name, StringComparer.Ordinal);
        if (_byName.ContainsKey(TiedEmbedding) && known.TryGetValue(Embedding, out var embedding))
            CheckShape(TiedEmbedding, embedding.Shape);
        problems.AddRange(_byName.Keys.Where(name => name != TiedEmbedding && !known.ContainsKey(name))
            .Select(name => $"{Folder}: the tensor {name} is not part of the model; use the config.json that belongs to the weights."));
        if (problems.Count > 0) throw new InputException(ProblemList.Short(problems, Folder));

        void CheckShape(string name, long[] shape)
        {
            if (!Info(name).Shape.SequenceEqual(shape))
                problems.Add($"{Folder}: {name} must be [{string.Join(", ", shape)}], got [{string.Join(", ", Info(name).Shape)}]; "
                    + "use the config.json that belongs to the weights.");
        }
    }

    public bool Contains(string name) => _byName.ContainsKey(name);

    public TensorInfo Info(string name) => _byName[name].Info(name);

    public ScalarType Type(string name) => _byName[name].Type(name);

    /// <summary>The tensor where it lies in its file: read it only, and only until the folder is disposed.</summary>
    public Tensor View(string name) => _byName[name].View(name);

    /// <summary>Writes the tensor into <paramref name="destination"/>, of any type and device, straight from the file.</summary>
    public void CopyTo(string name, Tensor destination) => _byName[name].CopyTo(name, destination);

    public void Dispose() => _files.ForEach(file => file.Dispose());

    private void OpenSingle(List<string> problems)
    {
        Add(SingleFile, null, problems);
        var index = Path.Combine(Folder, IndexFile);
        if (!File.Exists(index)) return;
        string[] others = [.. (ReadIndex(index) ?? []).Values.Distinct().Where(file => file != SingleFile)];
        var there = others.Count(file => File.Exists(Path.Combine(Folder, file)));
        if (there > 0)
            Notes = [$"{Folder}: holds two sets of weights; {SingleFile} is read, as transformers does, "
                + $"and not the {there} files of {IndexFile}; delete those that are old."];
        else if (others.Length > 0)
            Notes = [$"{index}: is stale, it names {others.Length} files that are not there; {SingleFile} is read; delete the index."];
    }

    private void OpenShards(string indexPath, List<string> problems)
    {
        if (ReadIndex(indexPath) is not { } shardOf)
        {
            problems.Add($"{indexPath}: " + (FileSignature.InPlaceOfModel(indexPath)
                ?? "needs a weight_map from tensor names to file names in the same folder; download it again."));
            return;
        }
        foreach (var shard in shardOf.GroupBy(pair => pair.Value, pair => pair.Key).OrderBy(group => group.Key, StringComparer.Ordinal))
            Add(shard.Key, shard, problems);
    }

    private static Dictionary<string, string>? ReadIndex(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            var map = document.RootElement.GetProperty("weight_map").EnumerateObject()
                .ToDictionary(p => p.Name, p => p.Value.GetString() ?? "");
            return map.Values.All(file => file.Length > 0 && Path.GetFileName(file) == file) ? map : null; // never outside the folder
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException)
        {
            return null;
        }
    }

    /// <param name="names">The tensors the index expects in this file; null for all it has.</param>
    private void Add(string fileName, IEnumerable<string>? names, List<string> problems)
    {
        var path = Path.Combine(Folder, fileName);
        if (IsPickle(fileName))
        {
            problems.Add(RefusePickle(path));
            return;
        }
        try
        {
            var file = SafeTensorsFile.Open(path);
            _files.Add(file);
            foreach (var name in names ?? file.Names)
            {
                if (file.Contains(name)) _byName[name] = file;
                else problems.Add($"{path}: the tensor {name} is missing, though {IndexFile} says it is here; download the file again.");
            }
        }
        catch (InputException error)
        {
            problems.AddRange(error.Problems);
        }
    }

    private static string NoWeights(string folder)
    {
        if (!Directory.Exists(folder)) return $"{folder}: there is no such folder; give the folder of a checkpoint.";
        var pickle = Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal).FirstOrDefault(IsPickle);
        return pickle is null
            ? $"{folder}: has neither {SingleFile} nor {IndexFile}; give the folder of a checkpoint in safetensors format."
            : RefusePickle(pickle);
    }

    internal static bool IsPickle(string path) => Path.GetExtension(path) is ".bin" or ".pt" or ".pth" or ".ckpt" or ".pkl";

    internal static string RefusePickle(string path) =>
        $"{path}: is a pickle file, which may run any code when it is opened; convert the weights to safetensors.";
}
