namespace Phi3VCluster.Spec.Jobs;

/// <summary>What a job on a model came to.</summary>
public abstract record JobResult
{
    /// <summary>Sentences about what was found on the way, and what was done about it.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
}

/// <param name="Text">The answer, special tokens left out.</param>
/// <param name="Tokens">The new ids, the one that ended the answer included.</param>
/// <param name="LogProbabilities">Natural logarithms, one a new token.</param>
/// <param name="PromptTokens">Ids before the answer, image tokens included.</param>
/// <param name="ImageTokens">Of each image.</param>
/// <param name="Seconds">From the files to the answer, with the model in memory.</param>
/// <param name="LoadSeconds">To bring the model into memory.</param>
public sealed record GenerateResult(
    string Text, IReadOnlyList<long> Tokens, IReadOnlyList<double> LogProbabilities, int PromptTokens, IReadOnlyList<int> ImageTokens,
    double Seconds, double LoadSeconds) : JobResult
{
    /// <summary>stop: the answer ended; length: it was cut at the longest, or at the model's context.</summary>
    public required string FinishReason { get; init; }
    /// <summary>What was computed in: fp32, bf16 or fp16.</summary>
    public required string Precision { get; init; }
    /// <summary>Most crops of an image.</summary>
    public required int NumCrops { get; init; }
}

/// <param name="Values">Mean over the samples of each metric that was asked for.</param>
/// <param name="Samples">In the order of the data.</param>
public sealed record EvaluateResult(
    IReadOnlyDictionary<string, double> Values, IReadOnlyList<EvaluateRow> Samples, double Seconds, double LoadSeconds) : JobResult
{
    /// <summary>What was computed in: fp32, bf16 or fp16.</summary>
    public required string Precision { get; init; }
    /// <summary>Most crops of an image.</summary>
    public required int NumCrops { get; init; }
}

/// <param name="Loss">Mean cross-entropy of the answers' tokens; null when not asked for.</param>
/// <param name="Prediction">The generated answer to the last turn; null when no metric needs one.</param>
/// <param name="Answers">Those it was held against.</param>
/// <param name="Score">By the first of the metrics that need a prediction.</param>
public sealed record EvaluateRow(string Id, double? Loss, string? Prediction, IReadOnlyList<string> Answers, double? Score)
{
    /// <summary>stop: the prediction ended; length: it was cut. Null where there is none.</summary>
    public string? FinishReason { get; init; }
}

/// <param name="Output">The new checkpoint's folder.</param>
/// <param name="Dtype">What its weights are stored in.</param>
/// <param name="Tensors">Stored in it.</param>
/// <param name="Merged">Linear maps that the adapter changed.</param>
/// <param name="Bytes">Of all tensors.</param>
/// <param name="Seconds">From the files to the files.</param>
public sealed record MergeResult(string Output, string Dtype, int Tensors, int Merged, long Bytes, double Seconds) : JobResult;

/// <param name="Output">The folder that was made.</param>
/// <param name="Step">Of the checkpoint.</param>
/// <param name="Kind">adapter | model.</param>
/// <param name="Tensors">That were trained.</param>
/// <param name="Seconds">From the files to the files.</param>
public sealed record ExportResult(string Output, string Run, long Step, string Kind, int Tensors, double Seconds) : JobResult;

/// <param name="Products">Operations a second of a map's products, on all cores.</param>
/// <param name="ThinProducts">Of an adapter's.</param>
/// <param name="Attention">Of causal attention, there and back.</param>
/// <param name="Bytes">That an elementwise operation reads and writes in a second.</param>
/// <param name="OperationSeconds">To do one that has next to nothing to do.</param>
/// <param name="SocketBytes">A second through a socket of this machine.</param>
/// <param name="ProcessBytes">Of the process, with its libraries loaded.</param>
/// <param name="Seconds">That the measurement took.</param>
public sealed record MeasureResult(
    double Products, double ThinProducts, double Attention, double Bytes, double OperationSeconds, double SocketBytes, double ProcessBytes,
    double Seconds) : JobResult;
