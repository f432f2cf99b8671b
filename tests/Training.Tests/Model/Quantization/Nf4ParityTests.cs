using System.Text.Json;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Model.Quantization;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model.Quantization;

/// <summary>Against what bitsandbytes stored and restored: all the same bits, and to 1e-6 relative with double quantisation.</summary>
[Trait("Category", "Parity")]
public sealed class Nf4ParityTests
{
    private const double DoubleTolerance = 1e-6;

    public static IEnumerable<TheoryDataRow<string?>> Tensors()
    {
        if (ReferenceFolder.Root is null || !File.Exists(ReferenceFolder.PathOf("nf4", "nf4.json"))) return [new(null)];
        using var cases = JsonDocument.Parse(File.ReadAllText(ReferenceFolder.PathOf("nf4", "nf4.json")));
        return [.. cases.RootElement.GetProperty("tensors").EnumerateObject().Select(tensor => new TheoryDataRow<string?>(tensor.Name))];
    }

    [Theory, MemberData(nameof(Tensors))]
    public void A_tensor_is_stored_and_restored_as_it_was_by_bitsandbytes(string? name)
    {
        ReferenceFolder.SkipIfAbsent(name);
        using var scope = NewDisposeScope();
        using var file = SafeTensorsFile.Open(ReferenceFolder.PathOf("nf4", "nf4.safetensors"));
        var weight = file.View($"{name}.weight");
        using var single = Nf4Tensor.Quantize(weight, doubleQuantization: false, CPU);
        using var nested = Nf4Tensor.Quantize(weight, doubleQuantization: true, CPU);
        var differences = new Differences();
        void Same(string part, Tensor actual) => differences.Same(part, Bytes(actual).SequenceEqual(Bytes(file.View($"{name}.{part}"))));

        Same("packed", single.Packed);
        Same("absmax", single.Scales.Values);
        Same("dequantized", single.Dequantize(ScalarType.Float32));
        Same("packed", nested.Packed);
        Same("double.absmax_u8", nested.Scales.Values);
        Same("double.absmax_code", tensor(AbsmaxCodebook.Values));
        Relative(differences, "double.absmax_absmax", nested.Scales.Absmax!, file.View($"{name}.double.absmax_absmax"));
        Relative(differences, "double.offset", nested.Scales.Offset!, file.View($"{name}.double.offset"));
        Relative(differences, "double.dequantized", nested.Dequantize(ScalarType.Float32), file.View($"{name}.double.dequantized"));
        differences.Report(name!);
    }

    private static void Relative(Differences differences, string part, Tensor actual, Tensor expected)
    {
        using var scope = NewDisposeScope();
        var zero = (actual - expected.view(actual.shape)).abs();
        var relative = zero / where(zero == 0, ones_like(zero), expected.view(actual.shape).abs());
        differences.Add(part, relative.max().item<float>(), DoubleTolerance);
    }

    private static byte[] Bytes(Tensor tensor) => tensor.bytes.ToArray();
}
