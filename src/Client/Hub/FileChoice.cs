using System.IO.Enumeration;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Hub;

/// <summary>A file of the repository that is not fetched.</summary>
internal sealed record SkippedFile(string Path, string Reason);

/// <summary>What of a repository is fetched.</summary>
internal sealed record FileChoice(IReadOnlyList<HubFile> Taken, IReadOnlyList<SkippedFile> LeftOut)
{
    private const string Weights = ".safetensors";
    private const string NotIncluded = "not among --include";
    private const int ShownNames = 3;

    /// <param name="includes">Patterns of paths, where * is anything, slashes too; none means all.</param>
    /// <exception cref="InputException">Nothing is left, or a model has no weights that may be read.</exception>
    public static FileChoice Of(HubRepo repo, IReadOnlyList<HubFile> files, IReadOnlyList<string> includes)
    {
        List<HubFile> taken = [];
        List<SkippedFile> leftOut = [];
        foreach (var file in files)
        {
            var wanted = includes.Count == 0 || includes.Any(i => FileSystemName.MatchesSimpleExpression(i, file.Path, ignoreCase: false));
            var reason = wanted ? AllowedFiles.Refusal(repo.Kind, file.Path, includes) : NotIncluded;
            if (reason is null) taken.Add(file);
            else leftOut.Add(new(file.Path, reason));
        }
        var weights = taken.Any(f => f.Path.EndsWith(Weights, StringComparison.OrdinalIgnoreCase));
        if (repo.Kind == RepoKind.Model && includes.Count == 0 && !weights) throw new InputException(NoWeights(repo, leftOut));
        if (taken.Count == 0) throw new InputException(NothingTaken(repo, files, leftOut, includes));
        return new(taken, leftOut);
    }

    /// <summary>"3 files (a, b, c)", with no more than the first few names.</summary>
    public static string Count(IReadOnlyCollection<string> paths)
    {
        var names = string.Join(", ", paths.Take(ShownNames)) + (paths.Count > ShownNames ? ", …" : "");
        return $"{Words.Files(paths.Count)} ({names})";
    }

    private static string NoWeights(HubRepo repo, List<SkippedFile> leftOut)
    {
        string[] pickles = [.. leftOut.Where(l => l.Reason == AllowedFiles.Pickle).Select(l => l.Path)];
        var others = leftOut.Count > 0 ? Count([.. leftOut.Select(l => l.Path)]) : "nothing else";
        return pickles.Length > 0
            ? $"{repo.Name}: the model has its weights as pickles only, got {Count(pickles)}; " +
                "reading a pickle can run code, so give a repository or a --revision with *.safetensors."
            : $"{repo.Name}: the model has no *.safetensors, got {others}; give a repository with weights in that form.";
    }

    private static string NothingTaken(
        HubRepo repo, IReadOnlyList<HubFile> files, List<SkippedFile> leftOut, IReadOnlyList<string> includes)
    {
        if (files.Count == 0) return $"{repo.Name}: the repository is empty, got no file; give another one.";
        var reasons = leftOut.GroupBy(l => l.Reason).Select(group => $"{Count([.. group.Select(l => l.Path)])}: {group.Key}");
        return includes.Count > 0
            ? $"--include: no file to fetch matches, got {string.Join(" ", includes)}; there are {string.Join("; ", reasons)}."
            : $"{repo.Name}: nothing in it is data that is used here, got {string.Join("; ", reasons)}.";
    }
}
