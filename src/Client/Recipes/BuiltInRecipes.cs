using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Recipes;

namespace Phi3VCluster.Client.Recipes;

/// <summary>The recipes that are built into this executable: the files of <c>recipes/</c>.</summary>
internal static class BuiltInRecipes
{
    private const string Extension = ".yaml";

    public static IReadOnlyList<string> Names { get; } =
    [
        .. typeof(BuiltInRecipes).Assembly.GetManifestResourceNames()
            .Where(resource => resource.EndsWith(Extension, StringComparison.Ordinal))
            .Select(resource => resource[..^Extension.Length]).Order(StringComparer.Ordinal),
    ];

    /// <summary>Null where there is none of that name.</summary>
    public static Recipe? Find(string name) => Names.Contains(name) ? Recipe.Parse(Text(name), Source(name)) : null;

    /// <param name="what">The place and what is wrong with it.</param>
    public static InputException Unknown(string what, string name)
    {
        var near = Nearest.To(name, Names) is { } meant ? $"did you mean {meant}? " : "";
        return new($"{what}, got {name}; {near}`phi3v recipes` lists the recipes.");
    }

    /// <summary>What error messages call a recipe's text.</summary>
    public static string Source(string name) => $"recipes/{name}{Extension}";

    private static string Text(string name)
    {
        using var text = new StreamReader(typeof(BuiltInRecipes).Assembly.GetManifestResourceStream(name + Extension)!);
        return text.ReadToEnd();
    }
}
