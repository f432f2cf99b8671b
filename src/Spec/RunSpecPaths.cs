namespace Phi3VCluster.Spec;

/// <summary>The files and folders that a spec names.</summary>
public static class RunSpecPaths
{
    /// <summary>Relative paths start from <paramref name="folder"/>; the cluster's processes have current folders of their own.</summary>
    public static RunSpec MakeAbsolute(RunSpec spec, string folder)
    {
        return spec with
        {
            Model = spec.Model with { Path = Absolute(spec.Model.Path)! },
            Method = spec.Method with { Adapter = Absolute(spec.Method.Adapter) },
            Data = spec.Data with
            {
                Train = Absolute(spec.Data.Train)!,
                Eval = Absolute(spec.Data.Eval),
                ImageRoot = Absolute(spec.Data.ImageRoot),
            },
            Output = Absolute(spec.Output)!,
        };

        string? Absolute(string? path) => string.IsNullOrWhiteSpace(path) ? path : Path.GetFullPath(path, folder);
    }
}
