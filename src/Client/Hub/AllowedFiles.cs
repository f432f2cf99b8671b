namespace Phi3VCluster.Client.Hub;

/// <summary>
/// Which kinds of file are taken, by their names. Weights come as safetensors alone: a pickle runs whatever code is in it when it is
/// read, and code of a repository is never wanted here.
/// </summary>
internal static class AllowedFiles
{
    public const string Pickle = "a pickle: reading it can run code";

    private const string Code = "code", OtherWeights = "weights in a form that is not read here",
        Other = "not a kind of file that is used here",
        Archive = "an archive, which may hold anything: name its kind with --include to take it";

    private static readonly Dictionary<string, string> Reasons = Table(
        (Pickle, ".bin .pt .pth .ckpt .pkl .pickle .joblib .dill .npy .npz .pdparams"),
        (Code, ".py .pyc .pyx .ipynb .sh .bash .ps1 .bat .cmd .js .mjs .ts .lua .r .rb .pl .jinja"),
        (Code, ".c .cc .cpp .cu .cuh .h .hpp .rs .go .java .class .jar .cs .so .dll .dylib .exe .whl .egg"),
        (OtherWeights, ".h5 .keras .msgpack .onnx .gguf .ggml .tflite .ot .mlmodel .engine .pb .pte"),
        (Archive, ".zip .tar .tgz .gz .bz2 .xz .zst .7z .rar"));

    private static readonly HashSet<string> OfModels = Names(".safetensors .json .txt .md"),
        OfDatasets = Names(".parquet .json .jsonl .ndjson .csv .tsv .txt .md .png .jpg .jpeg .webp .gif .bmp .tif .tiff"),
        Tokenizers = Names("tokenizer.model spiece.model sentencepiece.bpe.model"), // SentencePiece: a protobuf, no pickle
        Texts = Names("readme license licence notice copying authors");

    /// <summary>Why a file is not taken; null: it is.</summary>
    /// <param name="includes">The user's patterns; an archive is taken if one of them ends as its name does.</param>
    public static string? Refusal(RepoKind kind, string path, IReadOnlyList<string> includes)
    {
        var name = path[(path.LastIndexOf('/') + 1)..];
        var extension = Path.GetExtension(name);
        if (Texts.Contains(name)) return null;
        if (kind == RepoKind.Model) return OfModels.Contains(extension) || Tokenizers.Contains(name) ? null : Reason(extension);
        if (OfDatasets.Contains(extension)) return null;
        var reason = Reason(extension);
        return reason == Archive && includes.Any(i => i.EndsWith(extension, StringComparison.OrdinalIgnoreCase)) ? null : reason;
    }

    private static string Reason(string extension) => Reasons.GetValueOrDefault(extension, Other);

    private static Dictionary<string, string> Table(params (string Reason, string Extensions)[] rows) => rows
        .SelectMany(row => row.Extensions.Split(' ').Select(e => (e, row.Reason)))
        .ToDictionary(StringComparer.OrdinalIgnoreCase);

    private static HashSet<string> Names(string words) => new(words.Split(' '), StringComparer.OrdinalIgnoreCase);
}
