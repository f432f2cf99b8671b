using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Client.Commands;

/// <summary>All that can be known of a run without training: what a silo would find, and what follows by arithmetic.</summary>
internal sealed class ValidateCommand : Verb
{
    private readonly Argument<string> _spec = SpecSource.Argument();
    private readonly Option<string[]> _set = SpecSource.SetOption();
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public ValidateCommand() : base("validate",
        "Check a run spec and its data without training: names, files, every row, lengths in tokens, steps, rates, memory and disk.",
        "phi3v validate invoices.yaml --set epochs=2")
    {
        Arguments.Add(_spec);
        foreach (var option in (Option[])[_set, _cluster]) Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var address = ClusterAddress.Find(parsed.GetValue(_cluster));
        var (reading, recipe) = SpecSource.Read(parsed.GetRequiredValue(_spec), parsed.GetRequiredValue(_set));
        var spec = SpecSource.Check(reading, address, output, recipe);
        var hasOwnEvaluation = spec.Data.Eval is { } eval && eval != spec.Data.Train;
        ModelJob[] looks =
        [
            Look(spec, spec.Data.Train, spec.Data.Kind),
            .. hasOwnEvaluation ? (ModelJob[])[Look(spec, spec.Data.Eval!, spec.Data.EvalKind ?? spec.Data.Kind)] : [],
        ];
        var seen = await JobSession.RunAllAsync<InspectResult>(looks, address, output, interrupted);
        var (train, held) = (seen[0], hasOwnEvaluation ? seen[1] : null);

        var heldOut = held?.Rows - held?.BadRows ?? spec.Data.EvalRows ?? KnownNames.HeldOutRows(spec.Data.Kind);
        var plan = StepPlan.Of(spec, Math.Max(0, train.Rows - train.BadRows - (hasOwnEvaluation ? 0 : heldOut)));
        var findings = new Validation(spec, plan, train, held, heldOut, ModelSizes.Read(spec.Model.Path));
        output.Result(findings.Document(), findings.Show);
        foreach (var warning in findings.Warnings()) output.Error($"warning: {warning}");
        foreach (var problem in findings.Problems()) output.Error(problem);
        return findings.Problems().Any() ? ExitCode.BadInput : ExitCode.Done;
    }

    private static InspectJob Look(RunSpec spec, string data, string kind) => new()
    {
        Model = spec.Model.Path,
        DataKind = kind,
        Data = data,
        ImageRoot = spec.Data.ImageRoot,
        ExifRotate = spec.Data.ExifRotate,
        NumCrops = spec.Model.NumCrops,
        Method = spec.Method,
        Pages = 0,
    };
}
