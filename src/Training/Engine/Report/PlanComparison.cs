using System.Globalization;
using System.Text;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Native;
using TorchSharp;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// What <c>phi3v plan</c> predicts for a run beside what the run came to, and what the difference is made of. A plan counts pages of one
/// size, so the same plan for the samples that the run had stands between them.
/// </summary>
/// <param name="Target">The card, as <c>phi3v plan --gpu</c> names it; the device's own name where the catalogue lacks it.</param>
/// <param name="PageTokens">Of the pages that are planned with.</param>
/// <param name="SampleTokens">Of the run's mean sample; null where its crops were not counted.</param>
/// <param name="Notes">Sentences: what the plan rests on, and where the difference lies.</param>
internal sealed record PlanComparison(
    string Target, int Ranks, int Nodes, long Generation, double PageTokens, double PageCrops, double? SampleTokens, double? SampleCrops,
    IReadOnlyList<PlanRow> Speed, IReadOnlyList<PlanRow> Memory, IReadOnlyList<string> Notes)
{
    private const string Bytes = "bytes", Seconds = "s";

    /// <returns>Null before the first step, or where the model's sizes cannot be read any more.</returns>
    public static PlanComparison? Of(RunHome home, GenerationParts parts)
    {
        if (ModelSizes.Read(home.Spec.Model.Path) is not { } model || RunMeasurement.Of(home, parts) is not { } run) return null;
        var (device, answers) = (home.Compute.Device, home.Evaluation is not null && home.Spec.Evaluation.Metric != EvaluationSpec.Loss);
        if (device.type == DeviceType.CPU) return Of(home.Spec, model, home.DeviceName, card: null, isAmpere: false, answers, run);
        var card = GpuCard.OfDevice(home.DeviceName, Cuda.Memory(device.index).Total);
        var isAmpere = Cuda.Capability(device.index).Major >= RankCompute.Ampere;
        var compared = Of(home.Spec, model, home.DeviceName, card, isAmpere, answers, run);
        const string Kept = "The vision model's output is kept for each picture: later epochs do not compute what the plan counts for it.";
        return card is null || home.Features is null ? compared : compared with { Notes = [.. compared.Notes, Kept] };
    }

    /// <param name="device">As <see cref="RunHome.DeviceName"/>.</param>
    /// <param name="card">Null where its rates are not known; then no speed is planned.</param>
    /// <param name="isAmpere">As <see cref="GpuCard.IsAmpere"/>.</param>
    /// <param name="answers">Whether evaluation generates answers.</param>
    public static PlanComparison Of(
        RunSpec spec, ModelSizes model, string device, GpuCard? card, bool isAmpere, bool answers, RunMeasurement run)
    {
        var page = LetterPage.Of(spec.Model.NumCrops);
        var ofPages = Plan.Of(spec, model, card, isAmpere, page, run);
        var own = spec with { Batch = spec.Batch with { Global = Math.Max(1, (int)Math.Round(run.Samples)) } };
        var ofSamples = run.Page is { } sample ? Plan.Of(own, model, card, isAmpere, sample, run) : null;
        if (!answers) ofSamples = ofSamples?.WithoutAnswers();
        IReadOnlyList<PlanRow> speed = [.. SpeedRows(ofPages.Step, ofSamples?.Step, spec.Batch.Global, run)];
        IReadOnlyList<PlanRow> memory = run.Memory is not { } held ? []
            : [.. MemoryRows(ofPages.Memory, ofSamples?.Memory, held, isProcess: device == "cpu")];
        return new(card?.Id ?? device, run.Ranks, run.Nodes, run.Generation, page.Tokens, page.Crops, run.Page?.Tokens, run.Page?.Crops,
            speed, memory, [.. NotesOf(device, card, run, speed, memory)]);
    }

    public void AddTo(StringBuilder text)
    {
        text.AppendLine().AppendLine(CultureInfo.InvariantCulture,
            $"## Planned and measured: {Ranks} × {Target}, {Nodes} node{(Nodes == 1 ? "" : "s")}").AppendLine()
            .Append(CultureInfo.InvariantCulture, $"Planned as `phi3v plan` does, for pages of {PageTokens:n0} tokens and ")
            .Append(CultureInfo.InvariantCulture, $"{PageCrops:n0} crops");
        if (SampleTokens is { } tokens)
            text.Append(CultureInfo.InvariantCulture, $", and for the run's mean sample, {tokens:n0} tokens and {SampleCrops:0.#} crop(s)");
        text.AppendLine(".");
        foreach (var (title, rows) in ((string, IReadOnlyList<PlanRow>)[])[("speed", Speed), ("memory", Memory)])
        {
            if (rows.All(row => row.Planned is null)) continue; // what was measured alone is above, and in report.json
            text.AppendLine().AppendLine(CultureInfo.InvariantCulture, $"| {title} | planned | for its samples | measured | difference |")
                .AppendLine("| --- | --- | --- | --- | --- |");
            foreach (var row in rows) text.AppendLine(row.ToMarkdown());
        }
        text.AppendLine();
        foreach (var note in Notes) text.AppendLine(CultureInfo.InvariantCulture, $"- {note}");
    }

    private static IEnumerable<PlanRow> SpeedRows(StepTime? pages, StepTime? samples, int batch, RunMeasurement run)
    {
        var phases = run.Phases;
        yield return new("images/s", "images/s", batch / pages?.Total, run.Images / samples?.Total, run.Images / run.Seconds);
        yield return new("a step", Seconds, pages?.Total, samples?.Total, run.Seconds);
        yield return new("of it forward, backward", Seconds, pages?.Compute, samples?.Compute, Sum(Phase.Forward, Phase.Backward));
        yield return new("reduce", Seconds, pages?.Exchange, samples?.Exchange, Sum(Phase.Reduce));
        yield return new("optimizer", Seconds, pages?.Update, samples?.Update, Sum(Phase.Optimizer));
        yield return new("data", Seconds, pages is null ? null : 0, samples is null ? null : 0, Sum(Phase.Data));
        yield return new("exposed communication", "ratio", pages?.Exchange / pages?.Total, samples?.Exchange / samples?.Total,
            Sum(Phase.Reduce) / run.Seconds);

        double? Sum(params string[] names) => phases is null ? null : names.Sum(name => phases.GetValueOrDefault(name));
    }

    private static IEnumerable<PlanRow> MemoryRows(MemoryEstimate pages, MemoryEstimate? samples, MeasuredMemory held, bool isProcess)
    {
        var ranks = held.Ranks;
        var of = !isProcess ? "of the rank" : ranks == 1 ? "of the process" : $"of the process, {ranks} ranks";
        yield return Row($"peak {of}", one => one.Certain + Moment(one), held.Peak, held.Before);
        yield return Row("weights", one => one.Weights, held.Weights);
        yield return Row("gradients", one => one.Gradients, held.Gradients);
        yield return Row("masters, moments", one => one.Optimizer, held.Optimizer);
        yield return Row("activations, or answers in evaluation" + (isProcess ? ", and all else" : ""), Moment, held.Rest);
        if (isProcess) yield return Row("before the run", _ => 0, held.Before, held.Before);

        double Moment(MemoryEstimate one) => Math.Max(one.Activations + one.Workspace, isProcess ? 0 : one.Answers);

        PlanRow Row(string what, Func<MemoryEstimate, double> part, double measured, double beside = 0) =>
            new(what, Bytes, ranks * part(pages) + beside, samples is null ? null : ranks * part(samples) + beside, measured);
    }

    private static IEnumerable<string> NotesOf(
        string device, GpuCard? card, RunMeasurement run, IReadOnlyList<PlanRow> speed, IReadOnlyList<PlanRow> memory)
    {
        if (card is not null) yield return $"The plan is {PlanTarget.Of(card).Basis}.";
        else if (device == "cpu")
            yield return "No speed is planned: a CPU's is known only where it is measured, as `phi3v plan --gpu this-machine` does.";
        else yield return $"No speed is planned: the catalogue of `phi3v plan` does not have {device["cuda ".Length..]}.";
        if (run.Generations > 1)
            yield return $"Generation {run.Generation} is the longest, {run.Steps} steps of {run.Ranks} ranks: speed and plan are its own; "
                + "the peak of memory is of all generations that this rank was in.";
        if (run.Phases is null) yield return "The rank that reports was not in that generation: its phases are not known.";
        if (memory.Count == 0) yield return "The peak of memory is not known here.";
        else if (device != "cpu")
            yield return "Memory is bytes in tensors: what CUDA and the libraries take, for which the plan allows 2 GB, is not measured.";
        if (Largest(speed[1], speed.Skip(2).Where(row => row.Unit == Seconds)) is { } time) yield return time;
        if (memory.Count > 0 && Largest(memory[0], memory.Skip(1)) is { } bytes) yield return bytes;
    }

    /// <summary>Which part most of a difference comes from.</summary>
    private static string? Largest(PlanRow whole, IEnumerable<PlanRow> parts)
    {
        if (whole.Difference is not { } difference || difference == 0) return null;
        var sign = Math.Sign(difference);
        var most = parts.Where(part => part.Difference is not null).MaxBy(part => sign * part.Difference);
        if (most is null || sign * most.Difference <= 0) return null;
        return $"{char.ToUpperInvariant(whole.What[0])}{whole.What[1..]}: {whole.Size} {(sign > 0 ? "more" : "less")} than planned; "
            + $"the largest part of it is {most.What.Replace("of it ", "", StringComparison.Ordinal)}, {most.Size}.";
    }

    /// <summary>What a plan says of a page; without a step's time where no rates are known.</summary>
    private sealed record Plan(MemoryEstimate Memory, StepTime? Step)
    {
        public static Plan Of(RunSpec spec, ModelSizes model, GpuCard? card, bool isAmpere, LetterPage page, RunMeasurement run)
        {
            var ranks = run.Ranks;
            if (card is null) return new(MemoryEstimate.Of(RunPlan.WithMicro(spec, ranks, page), ranks, model, isAmpere, page), null);
            var (nodes, perNode) = run.Nodes > 1 ? (ranks, 1) : (1, ranks); // those of a node need not be equally many
            var plan = RunPlan.Of(spec, model, PlanTarget.Of(card), nodes, perNode, page);
            return new(plan.Memory, plan.Step);
        }

        public Plan WithoutAnswers() => this with { Memory = Memory with { Answers = 0 } };
    }
}
