namespace Phi3VCluster.Spec;

/// <summary>
/// The names that a spec chooses by, known without a silo. The implementations are found where they are; a test holds both equal.
/// </summary>
public static class KnownNames
{
    public static IReadOnlyList<string> Methods { get; } = ["frozen-vision", "full", "head", "lora", "qlora"];

    public static IReadOnlyList<string> Datasets { get; } =
        ["cauldron-docvqa", "conversations", "docvqa", "hateful-memes", "llava", "messages", "nlvr2"];

    public static IReadOnlyList<string> Schedules { get; } = ["constant", "cosine", "linear"];

    /// <summary>Those over generated answers; <see cref="EvaluationSpec.Loss"/> stands beside them.</summary>
    public static IReadOnlyList<string> Metrics { get; } = ["accuracy", "anls"];

    public static IReadOnlyList<string> Collectives { get; } = ["loopback", "nccl", "nccl-or-tcp", "tcp"];

    /// <summary>First rows of such data that are held out without being asked for.</summary>
    public static int HeldOutRows(string dataset) => dataset is "hateful-memes" or "nlvr2" ? 500 : 0;

    /// <summary>Every name of the spec that is none.</summary>
    public static IEnumerable<string> Problems(RunSpec spec) =>
    [
        .. Unknown("method.kind", spec.Method.Kind, Methods),
        .. Unknown("data.kind", spec.Data.Kind, Datasets),
        .. Unknown("data.evalKind", spec.Data.EvalKind ?? "", Datasets),
        .. Unknown("optimizer.schedule", spec.Optimizer.Schedule, Schedules),
        .. Unknown("evaluation.metric", spec.Evaluation.Metric, [.. Metrics, EvaluationSpec.Loss]),
        .. Unknown("cluster.collective", spec.Cluster.Collective, ["auto", .. Collectives]),
    ];

    /// <returns>A problem where <paramref name="got"/> is none of them; a blank one is another rule's.</returns>
    public static IEnumerable<string> Unknown(string path, string got, IReadOnlyList<string> known)
    {
        if (string.IsNullOrWhiteSpace(got) || known.Contains(got)) yield break;
        yield return $"{path}: unknown, got {got}; {Nearest.Advice(got, known)}";
    }
}
