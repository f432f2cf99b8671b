namespace Phi3VCluster.Spec;

/// <summary>The files and folders that a spec names.</summary>
public static class RunSpecPaths
{
    /// <summary>A leading ~ in any of them is the home folder.</summary>
    public static RunSpec ExpandHome(RunSpec spec) => Each(spec, path => path is null ? null : UserPath.Expand(path));

    /// <summary>Relative paths start from <paramref name="folder"/>; the cluster's processes have current folders of their own.</summary>
    public static RunSpec MakeAbsolute(RunSpec spec, string folder) =>
        Each(spec, path => string.IsNullOrWhiteSpace(path) ? path : Path.GetFullPath(path, folder));

    private static RunSpec Each(RunSpec spec, Func<string?, string?> change) => spec with
    {
        Model = spec.Model with { Path = change(spec.Model.Path)! },
        Method = spec.Method with { Adapter = change(spec.Method.Adapter) },
        Data = spec.Data with
        {
            Train = change(spec.Data.Train)!,
            Eval = change(spec.Data.Eval),
            ImageRoot = change(spec.Data.ImageRoot),
        },
        Output = change(spec.Output)!,
    };
}
