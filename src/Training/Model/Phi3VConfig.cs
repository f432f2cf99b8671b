namespace Phi3VCluster.Training.Model;

/// <summary>The sizes and constants of a Phi-3-Vision model, as its checkpoint's config.json gives them.</summary>
public sealed record Phi3VConfig
{
    /// <summary>Of the released models.</summary>
    public const int ReleasedMaxPositions = 131072;

    public required int HiddenSize { get; init; }
    public required int IntermediateSize { get; init; }
    public required int LayerCount { get; init; }
    public required int HeadCount { get; init; }
    /// <summary>Heads of keys and values; a divisor of <see cref="HeadCount"/>.</summary>
    public required int KeyValueHeadCount { get; init; }
    public required int VocabularySize { get; init; }
    /// <summary>The id whose embedding is never trained, &lt;|endoftext|&gt; in the released models; null for none.</summary>
    public long? PaddingId { get; init; } = 32000;
    public double RmsNormEpsilon { get; init; } = 1e-5;
    public double RopeTheta { get; init; } = 10000;
    /// <summary>Longest sequence, in tokens.</summary>
    public int MaxPositions { get; init; } = ReleasedMaxPositions;
    /// <summary>Longest sequence that is rotated with the short factors, in tokens.</summary>
    public int OriginalMaxPositions { get; init; } = 4096;
    /// <summary>Null is plain RoPE.</summary>
    public RopeScaling? RopeScaling { get; init; }
    public required VisionConfig Vision { get; init; }

    public int HeadSize => HiddenSize / HeadCount;

    /// <summary>Reads <c>config.json</c> of a checkpoint folder.</summary>
    /// <exception cref="Spec.InputException">No such file, or a model that this code does not compute; all problems at once.</exception>
    public static Phi3VConfig Read(string folder) => Phi3VConfigReader.Read(Path.Combine(folder, "config.json"));

    /// <summary>Reads the text of a config.json.</summary>
    /// <param name="where">What error messages call the text.</param>
    /// <exception cref="Spec.InputException">As for <see cref="Read"/>.</exception>
    public static Phi3VConfig Parse(string json, string where) => Phi3VConfigReader.Parse(json, where);
}

/// <summary>How RoPE is stretched over more positions than the model first saw.</summary>
public enum RopeKind
{
    /// <summary>
    /// Also called longrope (Ding and others, 2024): cos and sin scaled by sqrt(1 + ln(s)/ln(original positions)), where s is the most
    /// positions over the original ones.
    /// </summary>
    Su,
    /// <summary>cos and sin scaled by 0.1·ln(s) + 1 (Peng and others, 2023).</summary>
    Yarn,
}

/// <param name="ShortFactors">Divisors of the frequencies up to the original length; half a head's size of them.</param>
/// <param name="LongFactors">Divisors of the frequencies beyond it.</param>
public sealed record RopeScaling(RopeKind Kind, IReadOnlyList<double> ShortFactors, IReadOnlyList<double> LongFactors);

/// <summary>The CLIP tower: ViT-L/14-336 unless the optional <c>vision_config</c> of config.json says otherwise.</summary>
public sealed record VisionConfig
{
    public int HiddenSize { get; init; } = 1024;
    public int IntermediateSize { get; init; } = 4096;
    /// <summary>Layers in the checkpoint; the last one is never run.</summary>
    public int LayerCount { get; init; } = 24;
    public int HeadCount { get; init; } = 16;
    /// <summary>Pixels.</summary>
    public int PatchSize { get; init; } = 14;
    /// <summary>Side of a crop, pixels.</summary>
    public int ImageSize { get; init; } = 336;
    public double LayerNormEpsilon { get; init; } = 1e-5;

    public int HeadSize => HiddenSize / HeadCount;
    /// <summary>Patches along a crop's side.</summary>
    public int GridSize => ImageSize / PatchSize;
    /// <summary>Positions of a crop: its patches and the class token, which comes first.</summary>
    public int PositionCount => GridSize * GridSize + 1;
}
