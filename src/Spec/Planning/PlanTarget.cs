using System.Globalization;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Spec.Planning;

/// <summary>What a run is planned for.</summary>
/// <param name="Name">As the command line names it.</param>
/// <param name="Memory">Bytes that a rank may fill.</param>
/// <param name="Link">Bytes a second between ranks of one node.</param>
/// <param name="Network">Bytes a second between nodes, a node.</param>
/// <param name="Card">Null for a CPU.</param>
/// <param name="Basis">What the prediction rests on, a sentence.</param>
public sealed record PlanTarget(
    string Name, double Memory, double Link, double Network, GpuCard? Card, Func<RunSpec, MachineRates> Rates, string Basis)
{
    /// <summary>What collectives reach of a link's rate by the data sheet.</summary>
    private const double LinkShare = 0.75;
    /// <summary>Of a layer by autograd, there and back.</summary>
    private const double OperationsALayer = 60;

    /// <summary>What the command line calls the machine that it runs on.</summary>
    public const string ThisMachine = "this-machine";

    /// <summary>Bytes of a process before it computes anything; null for cards.</summary>
    public double? Runtime { get; init; }

    public bool IsAmpere => Card is { IsAmpere: true };

    public static PlanTarget Of(GpuCard card) => new(
        card.Id, card.UsableBytes, LinkShare * card.Link, LinkShare * card.Network, card, spec => MachineRates.Of(card, spec.Precision),
        card.IsMeasured
            ? $"fitted to steps that were timed on {card.Name}, one GPU; several GPUs were never measured"
            : $"predicted from H100 by the data sheets' rates; {card.Name} was never measured");

    /// <param name="ranks">That share the machine.</param>
    /// <param name="memory">Bytes, all of it.</param>
    public static PlanTarget Of(MeasureResult measured, int ranks, double memory) => new(
        ThisMachine, memory / ranks, measured.SocketBytes / ranks, measured.SocketBytes, Card: null,
        _ => new(measured.Products / ranks, measured.ThinProducts / ranks, measured.Attention / ranks, measured.Bytes / ranks,
            measured.OperationSeconds * OperationsALayer),
        string.Create(CultureInfo.InvariantCulture,
            $"predicted from {measured.Seconds:0.0} s of measurement on this machine: {measured.Products / 1e9:0} GFLOP/s, ")
            + $"{MachineFit.Gigabytes(measured.Bytes)}/s")
    {
        Runtime = measured.ProcessBytes,
    };

    /// <summary>The spec with what auto means here.</summary>
    public RunSpec Resolve(RunSpec spec, ModelSizes model, int ranks)
    {
        if (spec.Precision == "auto") spec = spec with { Precision = Card is null ? "fp32" : Card.IsAmpere ? "bf16" : "fp16" };
        spec = RecomputeChoice.Resolve(spec, model, ranks, Memory, IsAmpere);
        return Card is null ? spec : PassLength.OnGpu(spec, model, ranks, Memory, IsAmpere);
    }
}
