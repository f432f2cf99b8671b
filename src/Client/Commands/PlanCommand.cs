using System.CommandLine;
using System.Globalization;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Spec.Recipes;

namespace Phi3VCluster.Client.Commands;

/// <summary>What a run would need and reach on GPUs that need not be there: arithmetic, for which nothing is
/// started or read but the spec. For this machine, a local silo measures what the arithmetic starts from.</summary>
internal sealed class PlanCommand : Verb
{
    private const int Most = 100_000; // beyond any cluster, and far from where products of counts overflow
    private const double MostPaid = 1e9;

    private readonly Argument<string> _spec = SpecSource.Argument();
    private readonly Option<string[]> _set = SpecSource.SetOption();
    private readonly Option<string> _gpu = new("--gpu")
    {
        Description = $"The kind of GPU: {string.Join(", ", GpuCard.All.Select(card => card.Id))}; or {PlanTarget.ThisMachine}, its CPU.",
        HelpName = "name",
        Required = true,
    };
    private readonly Option<int> _nodes = new("--nodes") { Description = "Machines.", DefaultValueFactory = _ => 1 };
    private readonly Option<int?> _perNode = new("--gpus-per-node")
    {
        Description = "GPUs of each; not given, as many as such machines have.",
    };
    private readonly Option<string?> _price = new("--price")
    {
        Description = "Of a machine for an hour, in any currency.",
        HelpName = "number",
    };
    private readonly Option<long?> _samples = new("--samples") { Description = "Training samples, where no recipe or maxSteps tells." };

    public PlanCommand() : base("plan",
        "Predict a run on GPUs before there are any: memory part by part, images per second, hours, cost; or what would fit instead.",
        "phi3v plan docvqa-lora-bf16 --gpu a100-80gb --nodes 2 --price 27.2")
    {
        Arguments.Add(_spec);
        foreach (var option in (Option[])[_gpu, _nodes, _perNode, _price, _samples, _set]) Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var (reading, recipe) = SpecSource.Read(parsed.GetRequiredValue(_spec), parsed.GetRequiredValue(_set));
        var problems = reading.Problems.ToList();
        var isHere = parsed.GetRequiredValue(_gpu) == PlanTarget.ThisMachine;
        var card = isHere ? null : Find(parsed.GetRequiredValue(_gpu), problems);
        var nodes = Count("--nodes", parsed.GetValue(_nodes), problems);
        var usual = card?.PerNode ?? RunSession.LocalRanks(reading.Spec.Cluster);
        var perNode = Count("--gpus-per-node", parsed.GetValue(_perNode) ?? usual, problems);
        if (isHere && nodes > 1) problems.Add($"--nodes: {PlanTarget.ThisMachine} is one machine, got {nodes}; leave it out.");
        if (isHere && !MachineMemory.Counts(reading.Spec))
            problems.Add($"--gpu: PHI3V_LIBTORCH makes ranks here compute on GPUs, got {PlanTarget.ThisMachine}; name their kind.");
        var price = Price(parsed.GetValue(_price), problems);
        var samples = parsed.GetValue(_samples) ?? SamplesOf(recipe, reading.Spec);
        if (samples < 1) problems.Add($"--samples: must be at least 1, got {samples}; give the number of training samples.");
        if (problems.Count > 0) throw new InputException(problems);

        var spec = TrainedFolders.Resolve(reading.Spec);
        var model = ModelSizes.Read(spec.Model.Path);
        var target = card is null
            ? await MeasureAsync(spec, model ?? ModelSizes.Released, perNode, output, interrupted)
            : PlanTarget.Of(card);
        var plan = RunPlan.Of(spec, model ?? ModelSizes.Released, target, nodes, perNode);
        var view = new PlanView(plan, samples, price, PlanAdvice.Of(plan, spec, model ?? ModelSizes.Released), model is not null);
        output.Result(view.Document(), view.Show);
        foreach (var problem in plan.Problems) output.Error(problem);
        return plan.Fits ? ExitCode.Done : ExitCode.BadInput;
    }

    private static async Task<PlanTarget> MeasureAsync(
        RunSpec spec, ModelSizes model, int ranks, Output output, CancellationToken interrupted)
    {
        var page = LetterPage.Of(spec.Model.NumCrops);
        var job = new MeasureJob
        {
            Tokens = (int)(page.PagesAPass(spec.Batch) * page.Tokens),
            Width = (int)model.Width,
            Heads = (int)model.Heads,
            Intermediate = (int)model.Intermediate,
            Rank = spec.Method.Rank,
        };
        return PlanTarget.Of(await JobSession.RunAsync<MeasureResult>(job, null, output, interrupted), ranks, MachineMemory.Bytes);
    }

    private static GpuCard? Find(string name, List<string> problems)
    {
        try
        {
            return GpuCard.Find(name, "--gpu", PlanTarget.ThisMachine);
        }
        catch (InputException unknown)
        {
            problems.AddRange(unknown.Problems);
            return null;
        }
    }

    private static int Count(string option, int given, List<string> problems)
    {
        if (given < 1) problems.Add($"{option}: must be at least 1, got {given}; raise it.");
        if (given > Most) problems.Add($"{option}: must be at most {Most}, got {given}; lower it.");
        return given;
    }

    private static double? Price(string? given, List<string> problems)
    {
        if (given is null) return null;
        if (double.TryParse(given, NumberStyles.Float, CultureInfo.InvariantCulture, out var price) && price is >= 0 and <= MostPaid)
            return price;
        problems.Add($"--price: must be a number from 0 to {MostPaid:0}, got {given}; write for example 27.2.");
        return null;
    }

    /// <summary>A recipe knows how many its own data have.</summary>
    private static long? SamplesOf(Recipe? recipe, RunSpec spec) =>
        recipe is not null && (spec.Data.Kind, spec.Data.Train) == (recipe.Spec.Data.Kind, recipe.Spec.Data.Train) ? recipe.Samples : null;
}
