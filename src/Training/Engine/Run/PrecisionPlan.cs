using System.Globalization;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Methods;

namespace Phi3VCluster.Training.Engine;

/// <summary>In which types a run keeps what, part by part: shown before it starts.</summary>
internal sealed record PrecisionPlan(IReadOnlyList<PrecisionRow> Rows)
{
    private const double Nf4Bytes = 0.5 + 4.0 / 64, DoubleNf4Bytes = 0.5 + 1.0 / 64 + 4.0 / (64 * 256);

    public static PrecisionPlan Of(IReadOnlyList<TensorInfo> weights, TrainingPlan plan, RunSpec spec)
    {
        var trained = plan.Trained.Select(t => t.Tensor.Name).ToHashSet();
        var bytes = spec.Precision == "fp32" ? 4 : 2;
        var masters = spec.Precision == "fp32" ? "" : ", fp32 masters";
        var fourBits = spec.Method.DoubleQuantization ? "nf4 with 8-bit scales" : "nf4";
        var fourBitBytes = spec.Method.DoubleQuantization ? DoubleNf4Bytes : Nf4Bytes;
        var ofModel = weights.Where(weight => !trained.Contains(weight.Name))
            .GroupBy(weight => (Part: WeightRules.PartOf(weight.Name), Packed: plan.InFourBits.Contains(weight.Name)))
            .OrderBy(group => group.Key.Part).ThenByDescending(group => group.Key.Packed)
            .Select(group => Row(Words(group.Key.Part), group.ToList(), group.Key.Packed ? fourBits : spec.Precision, "frozen",
                group.Key.Packed ? fourBitBytes : bytes));
        var ofRun = plan.Trained.GroupBy(t => (t.Part, IsAdapter: t.Role != TrainedRole.Weight)).OrderBy(group => group.Key.Part)
            .Select(group => Row(Words(group.Key.Part) + (group.Key.IsAdapter ? " adapters" : ""), [.. group.Select(t => t.Tensor)],
                spec.Precision, "trained" + masters, bytes));
        return new([.. ofModel, .. ofRun, .. spec.Fp8 ? InFp8(weights) : []]);
    }

    /// <summary>The copies that products are made of, beside the matrices themselves: two, with scales for either way.</summary>
    private static IEnumerable<PrecisionRow> InFp8(IReadOnlyList<TensorInfo> weights)
    {
        var layers = weights.Where(weight => WeightRules.PartOf(weight.Name) == ModelPart.Decoder && weight.Shape.Length == 2)
            .GroupBy(weight => int.Parse(weight.Name.Split('.')[2], CultureInfo.InvariantCulture)).OrderBy(layer => layer.Key).ToList();
        if (layers.Count > 1)
            yield return Row("decoder's products", [.. layers.SkipLast(1).SelectMany(layer => layer)], "fp8", "copies", 2);
    }

    /// <summary>E.g. "decoder".</summary>
    public static string Words(ModelPart part) => part switch
    {
        ModelPart.VisionTower => "vision tower",
        ModelPart.TokenEmbedding => "token embedding",
        _ => part.ToString().ToLowerInvariant(),
    };

    /// <summary>One line a row, for the run's log.</summary>
    public IEnumerable<string> Lines() => Rows.Select(row => string.Create(CultureInfo.InvariantCulture,
        $"{row.Part}{row.Layers}: {row.Tensors} {(row.Tensors == 1 ? "tensor" : "tensors")}, {row.Parameters:n0} parameters in {row.Type}, "
            + $"{row.State}, {Size(row.Bytes)}"));

    private static PrecisionRow Row(string part, List<TensorInfo> tensors, string type, string state, double bytesEach)
    {
        var count = tensors.Sum(tensor => tensor.ElementCount);
        return new(part, Layers(tensors), type, state, tensors.Count, count, (long)(count * bytesEach));
    }

    // A layer's number is the one whole word of digits behind "layers" in a tensor's name.
    private static string Layers(IEnumerable<TensorInfo> tensors)
    {
        int[] layers =
        [
            .. tensors.Select(tensor => tensor.Name.Split('.')).Where(name => name.Contains("layers"))
                .Select(name => int.Parse(name[Array.IndexOf(name, "layers") + 1], CultureInfo.InvariantCulture)).Distinct().Order(),
        ];
        return layers switch
        {
            [] => "",
            [var only] => $", layer {only}",
            [var first, .., var last] when last - first + 1 == layers.Length => $", layers {first}–{last}",
            _ => $", layers {string.Join(", ", layers)}",
        };
    }

    private static string Size(long bytes) => bytes < 1_000_000
        ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e3:n1} kB")
        : string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:n1} MB");
}

/// <param name="Layers">Which layers it is of, e.g. ", layers 0–31"; empty for what is no layer.</param>
/// <param name="Bytes">By arithmetic: the values alone, without gradients and optimizer state.</param>
internal sealed record PrecisionRow(string Part, string Layers, string Type, string State, int Tensors, long Parameters, long Bytes);
