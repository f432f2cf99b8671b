using System.Buffers.Binary;
using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Tests.Optim;

namespace Phi3VCluster.Training.Tests.Methods;

/// <summary>Our plan against what got a gradient in the original, and what its optimizer decayed of that.</summary>
[Trait("Category", "Parity")]
public sealed class MethodParityTests
{
    public static TheoryData<string> Trajectories() => [.. Trajectory.Names()];

    [Theory, MemberData(nameof(Trajectories))]
    public void A_method_trains_and_decays_what_the_recorded_run_did(string folder)
    {
        using var trajectory = Trajectory.Read(folder);
        var run = trajectory.RootElement;
        var kind = run.GetProperty("method").GetString()!;
        var method = Catalog<ITrainingMethod>.Find(kind, folder);
        var adapted = run.GetProperty("rank").ValueKind == JsonValueKind.Number;
        var spec = new MethodSpec
        {
            FreezeVision = run.GetProperty("freeze_vision").GetBoolean(),
            Dora = run.GetProperty("dora").GetBoolean(),
            Rank = adapted ? run.GetProperty("rank").GetInt32() : 1,
        };


        var trained = method.Plan(UsedWeights(), spec).Trained;

        var decayed = trained.Where(tensor => tensor.Decays);
        Assert.Equal(NamesIn(run, "trained"), trained.Select(tensor => tensor.Tensor.Name).Order(StringComparer.Ordinal));
        Assert.Equal(NamesIn(run, "decayed"), decayed.Select(tensor => tensor.Tensor.Name).Order(StringComparer.Ordinal));
    }

    /// <summary>
    /// A declaration is no training: a full run declares weights that no forward pass reads, the head's run all of the decoder.
    /// </summary>
    private static IEnumerable<string> NamesIn(JsonElement run, string list) => run.GetProperty(list).EnumerateArray()
        .Select(name => name.GetString()!)
        .Where(name => run.GetProperty("first_step_gradient_norms").GetProperty(name).ValueKind != JsonValueKind.Null)
        .Select(name => name.Replace(".default", "", StringComparison.Ordinal))
        .Order(StringComparer.Ordinal);

    /// <summary>The checkpoint's weights without the tower's last layer and what follows it, which no forward pass reads.</summary>
    private static TensorInfo[] UsedWeights()
    {
        using var header = ReadHeader(Path.Combine(Trajectory.Fixtures, "model", "tiny", "model.safetensors"));
        var entries = header.RootElement.EnumerateObject().Where(entry => entry.Name != "__metadata__");
        var weights = entries.Select(entry => new TensorInfo(entry.Name, Shape(entry.Value))).ToArray();
        var last = weights.Max(weight => TowerLayer(weight.Name));
        return [.. weights.Where(weight => TowerLayer(weight.Name) != last && !IsUnused(weight.Name))];
    }

    private static long[] Shape(JsonElement tensor) => [.. tensor.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())];

    /// <summary>The tower's last norm, and the second name of the tied token embedding.</summary>
    private static bool IsUnused(string name) => name.Contains("post_layernorm") || name.EndsWith("wte.weight", StringComparison.Ordinal);

    private static int TowerLayer(string name) => name.Split(".encoder.layers.") is [_, var rest] ? int.Parse(rest.Split('.')[0]) : -1;

    private static JsonDocument ReadHeader(string path)
    {
        using var file = File.OpenRead(path);
        var length = new byte[8];
        file.ReadExactly(length);
        var header = new byte[BinaryPrimitives.ReadInt64LittleEndian(length)];
        file.ReadExactly(header);
        return JsonDocument.Parse(header);
    }
}
