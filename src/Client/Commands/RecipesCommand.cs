using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Completion;
using Phi3VCluster.Client.Recipes;
using Phi3VCluster.Client.Views;

namespace Phi3VCluster.Client.Commands;

internal sealed class RecipesCommand : Verb
{
    private readonly Argument<string?> _name = new("NAME")
    {
        Description = "Print this recipe's YAML.",
        Arity = ArgumentArity.ZeroOrOne,
        CompletionSources = { BuiltInRecipes.Names },
    };

    public RecipesCommand() : base(
        "recipes", "The run specs that come with phi3v: what they train, what they are expected to reach, which GPUs hold them.",
        "phi3v recipes docvqa-lora-bf16 > mine.yaml") => Arguments.Add(_name);

    protected override Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        if (parsed.GetValue(_name) is { } name)
        {
            var recipe = BuiltInRecipes.Find(name) ?? throw BuiltInRecipes.Unknown("NAME: no such recipe", name);
            output.Result(RecipeRow.Of(recipe, withText: true), _ => Console.Out.Write(recipe.Text));
            return Task.FromResult(ExitCode.Done);
        }
        var all = BuiltInRecipes.Names.Select(one => BuiltInRecipes.Find(one)!).ToArray();
        output.Result(all.Select(recipe => RecipeRow.Of(recipe)).ToArray(), to =>
        {
            RecipeRow.Show(to, all);
            to.Sentence("fits: the fewest GPUs of a kind that hold the run; larger ones do too. "
                + "Computed, not measured on GPUs: docs/recipes.md.");
            to.Sentence("phi3v recipes NAME prints one, phi3v submit NAME runs it.");
        });
        return Task.FromResult(ExitCode.Done);
    }
}
