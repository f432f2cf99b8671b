using System.Text.RegularExpressions;

namespace Phi3VCluster.Spec;

/// <summary>
/// What is wrong with a path that is to be a checkpoint or an adapter: people give, by habit of other tools, a hub name, the hub's cache
/// folder, a file of the folder, or an adapter for a model.
/// </summary>
public static partial class GivenFolder
{
    /// <summary>What people call folders of their own: no organisation of the hub.</summary>
    private static readonly HashSet<string> OwnNames =
    [
        "models", "model", "checkpoints", "checkpoint", "weights", "output", "outputs", "out", "runs", "run", "data", "quickstart", "home",
        "mnt",
    ];

    private static readonly string[] SampleEndings = [".jsonl", ".json", ".parquet", ".gz"];

    private const string AsAdapter = "this folder as --adapter (method.adapter)";

    /// <param name="path">As given, or made absolute from the current folder.</param>
    /// <returns>What, got what, what to do, to follow the key's name; null for a folder with a config.json.</returns>
    public static string? ModelProblem(string path)
    {
        if (File.Exists(path)) return $"is a file, got {path}; give the folder it lies in.";
        if (!Directory.Exists(path))
            return HubName(path) is { } name
                ? $"no such folder, got {name}; if it is a name on the Hugging Face hub, "
                    + $"`phi3v download model {name} --to models/{name[(name.IndexOf('/') + 1)..]}` fetches it: give that folder."
                : $"no such folder, got {path}; give a checkpoint folder with config.json and *.safetensors.";
        if (Has("config.json")) return null;
        if (Has("adapter_config.json"))
            return $"is the folder of an adapter, got {path}; give the model it was trained from, and {AsAdapter}.";
        if (Has("adapter/adapter_config.json"))
            return $"is the folder of a run that made an adapter, got {path}; give the model it was trained from, and {AsAdapter}.";
        if (Snapshot(path) is { } snapshot) return $"is a folder of the hub's cache, got {path}; give {snapshot}.";
        return Below(path, "config.json") is { } below
            ? $"the folder has no config.json, got {path}; give {below}."
            : $"the folder has no config.json, got {path}; give a checkpoint folder in Hugging Face layout.";

        bool Has(string file) => File.Exists(Path.Combine(path, file));
    }

    /// <returns>As of a model; null for a folder with an adapter_config.json.</returns>
    public static string? AdapterProblem(string path)
    {
        if (File.Exists(path)) return $"is a file, got {path}; give the folder it lies in.";
        if (!Directory.Exists(path)) return $"no such folder, got {path}; give a PEFT adapter folder.";
        if (Has("adapter_config.json")) return null;
        if (Has("model/config.json") || Has("config.json"))
            return $"is the folder of a whole model, got {path}; give it as --model (model.path), without an adapter.";
        return Below(path, "adapter_config.json") is { } below
            ? $"the folder has no adapter_config.json, got {path}; give {below}."
            : $"the folder has no adapter_config.json, got {path}; give a PEFT adapter folder, or the folder of a run that has ended.";

        bool Has(string file) => File.Exists(Path.Combine(path, file));
    }

    /// <returns>What is meant by an image file that is not there.</returns>
    public static string? ImageProblem(string path)
    {
        if (File.Exists(path)) return null;
        if (Directory.Exists(path)) return $"is a folder, got {path}; give an image file.";
        return WebAddress(path) is { } address
            ? $"is a web address, got {address}; download the picture and give its file."
            : $"no such file, got {path}; give an image file.";
    }

    /// <returns>Why a file or glob of samples names none; null where it names some.</returns>
    public static string? SamplesProblem(string pattern)
    {
        if (Directory.Exists(pattern))
        {
            var endings = Directory.EnumerateFiles(pattern).GroupBy(Path.GetExtension).ToList();
            var ending = endings.Where(group => SampleEndings.Contains(group.Key)).MaxBy(group => group.Count())?.Key;
            return ending is null && endings.Count > 0
                ? $"is a folder, got {pattern}, and no file in it ends with {string.Join(", ", SampleEndings)}; "
                    + "give the file that has the samples and names the pictures."
                : $"is a folder, got {pattern}; give its files, for example {Path.Combine(pattern, "*" + (ending ?? SampleEndings[0]))}.";
        }
        if (FilePattern.Match(pattern).Count > 0) return null;
        return WebAddress(pattern) is { } address
            ? $"is a web address, got {address}; download the file, `phi3v download dataset` fetches from the Hugging Face hub."
            : $"no file matches, got {RunSpecFiles.Shown(pattern)}; give a file or a glob.";
    }

    private static string? HubName(string path)
    {
        var given = Given(path);
        if (HubAddress().Match(given) is { Success: true } address) return address.Groups[1].Value;
        if (!HubForm().IsMatch(given)) return null;
        var first = given[..given.IndexOf('/')];
        return Directory.Exists(first) || OwnNames.Contains(first) ? null : given;
    }

    private static string? WebAddress(string path) =>
        WebForm().Match(Given(path)) is { Success: true } web ? $"{web.Groups[1].Value}://{web.Groups[2].Value}" : null;

    /// <summary>What was typed, where it was made absolute from the current folder since.</summary>
    private static string Given(string path) => Path.IsPathRooted(path) ? Path.GetRelativePath(Environment.CurrentDirectory, path) : path;

    private static string? Snapshot(string cache)
    {
        var folder = Path.Combine(cache, "snapshots");
        if (!Directory.Exists(folder)) return null;
        var main = Path.Combine(cache, "refs", "main");
        var named = File.Exists(main) ? Path.Combine(folder, File.ReadAllText(main).Trim()) : "";
        return Directory.Exists(named) ? named : Directory.EnumerateDirectories(folder).Order(StringComparer.Ordinal).FirstOrDefault();
    }

    /// <summary>The one folder below that has the file, or the newest.</summary>
    private static string? Below(string folder, string file) => Directory.EnumerateDirectories(folder)
        .Where(below => File.Exists(Path.Combine(below, file))).MaxBy(Directory.GetLastWriteTimeUtc);

    [GeneratedRegex(@"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]
    private static partial Regex HubForm();

    [GeneratedRegex(@"^(?:https?:/+)?(?:huggingface\.co|hf\.co|hf:)/+([\w.-]+/[\w.-]+)")]
    private static partial Regex HubAddress();

    [GeneratedRegex(@"^([a-z][a-z0-9]+):/+(.+)$")]
    private static partial Regex WebForm();
}
