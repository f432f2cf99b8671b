using Phi3VCluster.Client.App;
using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Client.Views;

/// <summary>A plan for people and, in snake_case, for machines.</summary>
/// <param name="price">Of a node for an hour.</param>
/// <param name="isRead">Whether the model's sizes are its own, not the released ones.</param>
internal sealed class PlanView(RunPlan plan, long? samples, double? price, IReadOnlyList<string> advice, bool isRead)
{
    private const double Giga = 1e9;

    private double? Hours => plan.Fits ? plan.Hours(samples) : null;

    private double? Cost => Hours is { } hours && price is { } each ? hours * each * plan.Nodes : null;

    public object Document() => new
    {
        Recipe = plan.Spec.Name,
        Gpu = plan.Target.Name,
        plan.Nodes,
        plan.Gpus,
        Machine = plan.Target.Card?.Machine,
        plan.Fits,
        plan.Problems,
        PeakGb = plan.Memory.Total / Giga,
        MemoryGb = plan.Target.Memory / Giga,
        Items = plan.Memory.Items.Select(item => new { item.Name, Gb = item.Bytes / Giga }),
        plan.Spec.Precision,
        plan.Spec.ActivationCheckpointing,
        MicroBatch = plan.Micro,
        ImagesPerSecond = Predicted(plan.ImagesPerSecond),
        StepSeconds = Predicted(plan.StepSeconds),
        ExposedCommunicationRatio = Predicted(plan.ExposedRatio),
        Samples = samples,
        Hours,
        Cost,
        PageTokens = plan.Page.Tokens,
        PageCrops = plan.Page.Crops,
        plan.Target.Basis,
        Advice = advice,
    };

    public void Show(Output to)
    {
        to.Sentence($"{plan.Spec.Name} on {plan.Gpus} × {plan.Target.Name}, {plan.Nodes} node{(plan.Nodes == 1 ? "" : "s")}"
            + (plan.Target.Card?.Machine is { } machine ? $" ({machine})" : "")
            + $": {plan.Spec.Method.Kind}, {plan.Spec.Precision}, recomputing {plan.Spec.ActivationCheckpointing}, "
            + $"{plan.Micro} page{(plan.Micro == 1 ? "" : "s")} a pass");
        Tables.Write(to, [new("memory of a rank"), new("GB")],
            [
                .. plan.Memory.Items.Select(item => (string[])[item.Name, Gigabytes(item.Bytes)]),
                ["peak", Gigabytes(plan.Memory.Total)], [$"{plan.Target.Name} has", Gigabytes(plan.Target.Memory)],
            ]);
        if (plan.Fits)
            to.Sentence($"speed: {Words.Number(plan.ImagesPerSecond, "0.0#")} img/s, a step of {plan.Spec.Batch.Global} in "
                + $"{Words.Number(plan.StepSeconds, "0.00")} s, {Words.Number(100 * plan.ExposedRatio, "0.#")} % of it communication");
        if (Hours is { } hours)
            to.Sentence($"training: {Words.Duration(hours * 3600)}"
                + (Cost is { } cost ? $", cost {Words.Number(cost, "0.00")}" : "") + ", without evaluation");
        else if (plan.Fits) to.Sentence("training: how long is not known without the number of samples; --samples gives it");
        to.Sentence($"counted for a page of {plan.Page.Tokens:0} tokens and {plan.Page.Crops:0} crops"
            + (isRead ? "" : ", the released model's sizes") + $"; {plan.Target.Basis}");
        foreach (var line in advice) to.Sentence(line);
    }

    private double? Predicted(double value) => plan.Fits ? value : null;

    private static string Gigabytes(double bytes) => Words.Number(bytes / Giga, "0.0");
}
