using System.Text.Json.Serialization;

namespace Phi3VCluster.Spec.Jobs;

/// <summary>Work for one node that trains nothing. Paths are as the node sees them.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "job")]
[JsonDerivedType(typeof(GenerateJob), "generate"), JsonDerivedType(typeof(EvaluateJob), "eval"), JsonDerivedType(typeof(MergeJob), "merge")]
[JsonDerivedType(typeof(InspectJob), "inspect"), JsonDerivedType(typeof(ExportJob), "export")]
[JsonDerivedType(typeof(MeasureJob), "measure"), JsonDerivedType(typeof(BenchJob), "bench")]
public abstract record ModelJob
{
    /// <summary>Checkpoint folder in Hugging Face layout.</summary>
    public string Model { get; init; } = "";
    /// <summary>PEFT adapter folder; null for the checkpoint alone.</summary>
    public string? Adapter { get; init; }
}

/// <summary>A model is loaded, asked, and let go.</summary>
public abstract record AskJob : ModelJob
{
    /// <summary>What it may compute in.</summary>
    public static readonly IReadOnlyList<string> Precisions = ["auto", "fp32", "bf16", "fp16"];

    /// <summary>Most 336-pixel crops an image is cut into; null, the adapter's, else the checkpoint's.</summary>
    public int? NumCrops { get; init; }
    /// <summary>One of <see cref="Precisions"/>; auto, what the checkpoint and the device suit.</summary>
    public string Precision { get; init; } = "auto";
    /// <summary>Longest answer, in tokens.</summary>
    public int MaxNewTokens { get; init; } = 64;
}

/// <summary>One greedy answer.</summary>
public sealed record GenerateJob : AskJob
{
    /// <summary>Image files, image 1 first.</summary>
    public IReadOnlyList<string> Images { get; init; } = [];
    /// <summary>The user's text, or the whole prompt.</summary>
    public string Prompt { get; init; } = "";
    /// <summary>Whether the prompt is taken as it is, with its own image tags and template.</summary>
    public bool IsRaw { get; init; }
    /// <summary>Always generate <see cref="AskJob.MaxNewTokens"/>.</summary>
    public bool IgnoreEndOfText { get; init; }
}

/// <summary>Loss and metrics over a dataset.</summary>
public sealed record EvaluateJob : AskJob
{
    /// <summary>The metric that needs no generation: the mean loss of the samples' answers.</summary>
    public const string Loss = EvaluationSpec.Loss;

    /// <summary>A dataset's name.</summary>
    public string DataKind { get; init; } = "";
    /// <summary>File or glob.</summary>
    public string Data { get; init; } = "";
    /// <summary>Folder that relative image paths start from; null, the data file's own.</summary>
    public string? ImageRoot { get; init; }
    /// <summary>Turn image files of own data as their EXIF orientation says.</summary>
    public bool ExifRotate { get; init; }
    /// <summary>Takes the samples that a run with this section of its spec would hold out, in place of all that is above.</summary>
    public DataSpec? Section { get; init; }
    /// <summary>loss, or names of metrics over generated answers.</summary>
    public IReadOnlyList<string> Metrics { get; init; } = [];
}

/// <summary>What a dataset holds. The model is optional: only its tokenizer, context and crops are read.</summary>
public sealed record InspectJob : ModelJob
{
    /// <summary>Most <see cref="Pages"/>: a sheet of so many is 33 megapixels.</summary>
    public const int MostPages = 60;

    /// <summary>A dataset's name.</summary>
    public string DataKind { get; init; } = "";
    /// <summary>File or glob.</summary>
    public string Data { get; init; } = "";
    /// <summary>Folder that relative image paths start from; null, the data file's own.</summary>
    public string? ImageRoot { get; init; }
    /// <summary>Turn image files of own data as their EXIF orientation says.</summary>
    public bool ExifRotate { get; init; }
    /// <summary>Most crops of an image; null for what the model's image processor says, else 16.</summary>
    public int? NumCrops { get; init; }
    /// <summary>What is to be trained of the model, to be held against its weights; null where nothing is.</summary>
    public MethodSpec? Method { get; init; }
    /// <summary>Pictures on the contact sheet; 0 for no sheet.</summary>
    public int Pages { get; init; } = 12;
}

/// <summary>A checkpoint of its own from a model and an adapter.</summary>
public sealed record MergeJob : ModelJob
{
    /// <summary>What weights may be stored in.</summary>
    public static readonly IReadOnlyList<string> Dtypes = ["fp32", "bf16", "fp16"];

    /// <summary>Folder to make.</summary>
    public string To { get; init; } = "";
    /// <summary>One of <see cref="Dtypes"/>.</summary>
    public string Dtype { get; init; } = "fp32";
}

/// <summary>An adapter or a checkpoint from what a run had trained at a step.</summary>
public sealed record ExportJob : ModelJob
{
    /// <summary>The run's folder of results.</summary>
    public string Run { get; init; } = "";
    /// <summary>The step of a checkpoint; null for the newest.</summary>
    public long? Step { get; init; }
    /// <summary>Folder to make.</summary>
    public string To { get; init; } = "";
}

/// <summary>How fast a node's CPU does what a training step consists of, at a model's sizes. Needs no model.</summary>
public sealed record MeasureJob : ModelJob
{
    /// <summary>Positions of a pass.</summary>
    public int Tokens { get; init; }
    public int Width { get; init; }
    public int Heads { get; init; }
    public int Intermediate { get; init; }
    /// <summary>Inner dimension of adapters.</summary>
    public int Rank { get; init; }
}

/// <summary>The recipe's speed table on a node, on pages and weights that are made there. Needs no model.</summary>
public sealed record BenchJob : ModelJob
{
    /// <summary>Most <see cref="Seconds"/>, an hour.</summary>
    public const double MostSeconds = 3600;

    /// <summary>That each row trains after it has warmed up; the step under way is finished.</summary>
    public double Seconds { get; init; } = 5;
    /// <summary>Of <see cref="Recipes.SpeedTable.Methods"/>; empty for all.</summary>
    public IReadOnlyList<string> Methods { get; init; } = [];
}
