using System.Text.RegularExpressions;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Hub;

internal enum RepoKind
{
    Model,
    Dataset,
}

/// <summary>A repository of the hub at one revision: a branch, a tag or a commit.</summary>
internal sealed partial record HubRepo(RepoKind Kind, string Name, string Revision)
{
    /// <summary>As words of the command line.</summary>
    public static readonly string[] Kinds = [.. Enum.GetNames<RepoKind>().Select(k => k.ToLowerInvariant())];

    public string KindWord => Kinds[(int)Kind];

    /// <summary>The name without its owner: what the folder is called if nothing else is said.</summary>
    public string ShortName => Name[(Name.LastIndexOf('/') + 1)..];

    /// <summary>Its page, where a person reads and accepts terms.</summary>
    public string PagePath => Kind == RepoKind.Dataset ? $"/datasets/{Name}" : $"/{Name}";

    /// <exception cref="InputException">Says everything that is wrong.</exception>
    public static HubRepo Parse(string kind, string name, string revision)
    {
        List<string> problems = [];
        var index = Array.IndexOf(Kinds, kind);
        if (index < 0)
        {
            var near = Nearest.To(kind, Kinds) is { } word ? $"did you mean {word}?" : $"write {string.Join(" or ", Kinds)}.";
            problems.Add($"KIND: must be {string.Join(" or ", Kinds)}, got {kind}; {near}");
        }
        if (!RepoName().IsMatch(name) || name.Contains("..", StringComparison.Ordinal))
            problems.Add($"REPO: must be OWNER/NAME, got {name}; write for example microsoft/Phi-3-vision-128k-instruct.");
        if (revision.Length == 0 || revision is "." || revision.Contains("..", StringComparison.Ordinal) || revision.Any(char.IsControl))
            problems.Add($"--revision: must be a branch, a tag or a commit, got '{revision}'; write for example main.");
        return problems.Count == 0 ? new((RepoKind)index, name, revision) : throw new InputException(problems);
    }

    /// <summary>What says which commit the revision is.</summary>
    public string RevisionPath => $"/api/{KindWord}s/{Name}/revision/{Uri.EscapeDataString(Revision)}?expand=sha";

    /// <summary>The list of all files of a commit, in pages.</summary>
    public string TreePath(string commit) => $"/api/{KindWord}s/{Name}/tree/{commit}?recursive=true";

    public string FilePath(string commit, string path) =>
        $"{PagePath}/resolve/{commit}/{string.Join('/', path.Split('/').Select(Uri.EscapeDataString))}";

    [GeneratedRegex(@"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?\z")]
    private static partial Regex RepoName();
}
