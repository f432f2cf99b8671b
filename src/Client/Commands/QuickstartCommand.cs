using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Recipes;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

internal sealed class QuickstartCommand : Verb
{
    private const string Recipe = "quickstart";

    private readonly Option<int> _seed = new("--seed")
    {
        Description = "Another seed: another model, other pages.",
        HelpName = "N",
        DefaultValueFactory = _ => 42,
    };
    private readonly Option<string> _output = new("--output")
    {
        Description = "Folder for the pages, the model and the results.",
        HelpName = "DIR",
        DefaultValueFactory = _ => "./output",
    };
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public QuickstartCommand() : base(
        "quickstart", "Train a tiny Phi-3-Vision from scratch on this machine, on pages drawn for it: no GPU, no download.",
        "phi3v quickstart --seed 7")
    {
        foreach (var option in (Option[])[_seed, _output, _cluster]) Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var clock = Stopwatch.StartNew();
        var address = ClusterAddress.Find(parsed.GetValue(_cluster));
        var (folder, seed) = (UserPath.Absolute(parsed.GetRequiredValue(_output)), parsed.GetValue(_seed));
        var filesFolder = Path.Combine(folder, "quickstart", $"seed-{seed}");
        if (RunSpecFiles.Problems(new RunSpec { Output = filesFolder }) is { Count: > 0 } unwritable) throw new InputException(unwritable);

        output.Line("drawing the pages and an untrained model …");
        var files = await Task.Run(() => QuickstartFiles.Create(filesFolder, seed, tell: output.Line), CancellationToken.None)
            .WaitAsync(interrupted);
        var spec = SpecSource.Check(RunSpecYaml.Read(BuiltInRecipes.Find(Recipe)!.Text,
        [
            $"model.path={files.Checkpoint}", $"data.train={files.Train}", $"data.eval={files.Eval}", $"output={folder}",
            string.Create(CultureInfo.InvariantCulture, $"seed={seed}"),
        ], BuiltInRecipes.Source(Recipe)), address, output);
        output.Line($"training on {files.TrainPages} pages, {spec.Epochs} epochs; {files.EvalPages} other pages are held out");

        var (ended, _) = await RunSession.RunAsync(new(spec), address, output, interrupted);
        var result = QuickstartResult.Of(spec, ended, clock.Elapsed.TotalSeconds);
        output.Result(result.Document(), result.Show);
        if (ended.State != RunState.Done) output.Error($"the run {ended.Run} {Words.Of(ended.State)}: {ended.Error}");
        return RunSummary.ExitCodeOf(ended);
    }
}
