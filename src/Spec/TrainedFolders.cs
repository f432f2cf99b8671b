using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Spec;

/// <summary>The folder of a run in place of what the run made: <c>{run}/adapter</c> or <c>{run}/model</c> is meant.</summary>
public static class TrainedFolders
{
    public static RunSpec Resolve(RunSpec spec) => spec with
    {
        Model = spec.Model with { Path = Model(spec.Model.Path) },
        Method = spec.Method with { Adapter = spec.Method.Adapter is { } adapter ? Adapter(adapter) : null },
    };

    public static ModelJob Resolve(ModelJob job) => job with
    {
        Model = Model(job.Model),
        Adapter = job.Adapter is { } adapter ? Adapter(adapter) : null,
    };

    private static string Model(string folder) => Made(folder, "model", "config.json");

    private static string Adapter(string folder) => Made(folder, "adapter", "adapter_config.json");

    private static string Made(string folder, string part, string config) => folder.Length > 0
        && !File.Exists(Path.Combine(folder, config)) && File.Exists(Path.Combine(folder, part, config))
            ? Path.Combine(folder, part)
            : folder;
}
