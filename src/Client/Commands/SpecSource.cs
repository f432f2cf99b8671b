using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Completion;
using Phi3VCluster.Client.Recipes;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Spec.Recipes;

namespace Phi3VCluster.Client.Commands;

/// <summary>A run spec as a command needs it: checked whole before anything is started, with absolute paths.</summary>
internal static class SpecSource
{
    private const string StandardInput = "-";

    public static Argument<string> Argument() => new("SPEC")
    {
        Description = "The run spec: a YAML file, - for standard input, or the name of a recipe (phi3v recipes).",
        CompletionSources = { CompletionValues.Specs },
    };

    public static Option<string[]> SetOption() => new("--set")
    {
        Description = "Overrides one value of the spec; may be given often.",
        HelpName = "path=value",
        DefaultValueFactory = _ => [],
        CompletionSources = { RunSpecYaml.Keys.Select(key => $"{key}=") },
    };

    /// <param name="given">A file, or a recipe's name; a file wins.</param>
    /// <returns>The spec, to be checked, and the recipe it is of.</returns>
    /// <exception cref="InputException">Neither, or not YAML at all.</exception>
    public static (RunSpecReading Reading, Recipe? Recipe) Read(string given, IReadOnlyList<string> sets)
    {
        if (given == StandardInput) return (RunSpecYaml.Read(Console.In.ReadToEnd(), sets, "stdin"), null);
        given = UserPath.Expand(given);
        if (File.Exists(given) || given.Contains(Path.DirectorySeparatorChar)) return (RunSpecYaml.ReadFile(given, sets), null);
        var recipe = BuiltInRecipes.Find(given) ?? throw (Directory.Exists(given)
            ? new InputException($"SPEC: must be a file, got the folder {given}; give the YAML file itself.")
            : BuiltInRecipes.Unknown("SPEC: neither a file nor a recipe", given));
        return (RunSpecYaml.Read(recipe.Text, [.. sets, .. WithoutItsEvaluation(recipe, sets)], BuiltInRecipes.Source(given)), recipe);
    }

    /// <param name="cluster">Null for a cluster on this machine that is started later.</param>
    /// <param name="recipe">Knows where missing files come from.</param>
    /// <exception cref="InputException">All that is wrong with the values, and with the files if the cluster is here.</exception>
    public static RunSpec Check(RunSpecReading reading, ClusterAddress? cluster, Output output, Recipe? recipe = null)
    {
        var isHere = cluster is null or { IsThisMachine: true };
        if (isHere) reading = reading with { Spec = TrainedFolders.Resolve(reading.Spec) };
        var files = isHere ? RunSpecFiles.Problems(reading.Spec) : [];
        var fetches = recipe?.FetchesFor(files)
            .Select(fetch => $"{recipe.Name}: its files are not here; `{fetch}` brings them, --set names others.") ?? [];
        var problems = (string[])[.. reading.Problems, .. files, .. fetches];
        if (problems.Length == 0 && cluster is null or { IsThisMachine: true }) problems = [.. Room(reading.Spec, cluster)];
        if (problems.Length > 0) throw new InputException(problems);
        foreach (var warning in RunSpecValidation.Warnings(reading.Spec)) output.Error($"warning: {warning}");
        return RunSpecPaths.MakeAbsolute(reading.Spec, Environment.CurrentDirectory);
    }

    /// <summary>What this machine has too little of.</summary>
    private static IEnumerable<string> Room(RunSpec spec, ClusterAddress? cluster)
    {
        if (ModelSizes.Read(spec.Model.Path) is not { } model) return [];
        var ranks = cluster is null ? RunSession.LocalRanks(spec.Cluster) : spec.Cluster.MinRanks;
        var memory = MachineMemory.Counts(spec) ? MachineFit.MemoryProblems(spec, model, ranks, ranks, MachineMemory.Bytes) : [];
        return [.. memory, .. new[] { MachineFit.DiskNeedOf(spec, model, steps: null).Problem(spec.Output) }.OfType<string>()];
    }

    /// <summary>A recipe's held-out samples belong to its training samples: who brings other ones need not have them.</summary>
    private static IEnumerable<string> WithoutItsEvaluation(Recipe recipe, IReadOnlyList<string> sets)
    {
        if (recipe.Spec.Data.Eval is not { } eval || !Sets("data.train") || Sets("data.eval")) yield break;
        if (FilePattern.Match(eval).Count > 0) yield break;
        Output.Note(
            $"phi3v: warning: data.eval: the recipe's held-out samples are not here, got {eval}; --set data.eval=FILE evaluates on yours.");
        yield return "data.eval=null";

        bool Sets(string key) => sets.Any(set => set.StartsWith(key + '=', StringComparison.Ordinal));
    }
}
