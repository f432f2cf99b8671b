using System.Text.Json;
using Phi3VCluster.Training.Engine.Checks;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Silo;

/// <summary>Can this machine train? For `phi3v doctor`, which must not load libtorch itself.</summary>
internal static class MachineReport
{
    private sealed record Row(string Check, bool Ok, string Detail);

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Prints the rows {check, ok, detail} as one JSON array.</summary>
    /// <returns>0 if all is well, else 1.</returns>
    public static int Run(TextWriter output)
    {
        var loads = Try("libtorch", LibTorch.Load);
        Func<Row>[] withTorch =
        [
            () => Try("torch version", () => __version__),
            () => Try("tensor arithmetic", MultiplyAndCompare),
            () => Try("device", () => DeviceReport.OfThisMachine().Words),
            () => Try("bf16 on the CPU", () => CpuBf16.IsFast ? "faster than float32" : "no faster than float32"),
        ];
        List<Row> rows =
        [
            loads,
            .. loads.Ok ? withTorch.Select(row => row()) : [],
            Try("cores", () => $"{Environment.ProcessorCount}"),
            Try("memory", () => $"{GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)(1L << 30):F1} GiB"),
        ];
        output.WriteLine(JsonSerializer.Serialize(rows, Json));
        return rows.TrueForAll(r => r.Ok) ? 0 : 1;
    }

    private static Row Try(string check, Func<string> detail)
    {
        try
        {
            return new(check, true, detail());
        }
        catch (Exception e) // whatever is wrong with the machine is what is asked for
        {
            return new(check, false, (e is TypeInitializationException { InnerException: { } cause } ? cause : e).Message);
        }
    }

    private static string MultiplyAndCompare()
    {
        using var scope = NewDisposeScope();
        var product = ones(8, 8).matmul(ones(8, 8));
        return product.allclose(full([8, 8], 8f))
            ? "8 x 8 matrix product is right"
            : throw new InvalidOperationException("an 8 x 8 matrix product is wrong");
    }
}
