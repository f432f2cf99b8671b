using System.Xml.Linq;

namespace Phi3VCluster.Architecture.Tests;

/// <summary>What a csproj refers to; references for build order only are left out, as nothing of them is loaded.</summary>
/// <param name="Path">Relative to the repository's root.</param>
internal sealed record Project(string Path, IReadOnlyList<string> References, IReadOnlyList<string> Packages)
{
    public string Name => System.IO.Path.GetFileNameWithoutExtension(Path);

    public static IReadOnlyDictionary<string, Project> AllInSrc() => Repository.TextFiles
        .Where(file => file.Path.StartsWith("src/", StringComparison.Ordinal) && file.Path.EndsWith(".csproj", StringComparison.Ordinal))
        .Select(file => Parse(file.Path, file.Text))
        .ToDictionary(project => project.Name);

    public static Project Parse(string path, string xml)
    {
        var items = XDocument.Parse(xml).Descendants().ToList();
        var packages = items.Where(item => item.Name == "PackageReference");
        var references = items.Where(item =>
            item.Name == "ProjectReference" && (string?)item.Attribute("ReferenceOutputAssembly") != "false");
        return new(path,
            [.. references.Select(item => System.IO.Path.GetFileNameWithoutExtension(Include(item).Replace('\\', '/')))],
            [.. packages.Select(Include)]);
    }

    /// <summary>The project and all it refers to, however far.</summary>
    public IReadOnlyCollection<Project> Closure(IReadOnlyDictionary<string, Project> all)
    {
        var reached = new HashSet<Project>();
        var open = new Stack<Project>([this]);
        while (open.TryPop(out var project))
            if (reached.Add(project))
                foreach (var name in project.References)
                    open.Push(all[name]);
        return reached;
    }

    private static string Include(XElement item) => (string?)item.Attribute("Include") ?? "";
}
