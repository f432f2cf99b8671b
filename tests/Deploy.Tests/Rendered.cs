using k8s;
using k8s.Models;

namespace Phi3VCluster.Deploy.Tests;

/// <summary>What <c>kubectl kustomize</c> makes of a folder of deploy/k8s, as Kubernetes' own types.</summary>
internal sealed record Rendered(string Name, string Yaml, IReadOnlyList<IKubernetesObject<V1ObjectMeta>> Objects)
{
    public static string Root { get; } = Path.Combine(RepositoryRoot(), "deploy", "k8s");

    public static TheoryData<string> Overlays() =>
        [.. Directory.EnumerateDirectories(Path.Combine(Root, "overlays")).Select(folder => Path.GetFileName(folder)!).Order()];

    public static Task<Rendered> OverlayAsync(string name) => FolderAsync(Path.Combine("overlays", name));

    /// <summary>A field that Kubernetes does not have, a wrong type, or a key said twice is an error.</summary>
    public static async Task<Rendered> FolderAsync(string folder)
    {
        var kubectl = Program.Find("kubectl");
        Assert.SkipWhen(kubectl is null, "kubectl is not installed");
        var result = await Program.RunAsync(kubectl!, ["kustomize", Path.Combine(Root, folder)]);
        Assert.True(result.ExitCode == 0, $"kubectl kustomize {folder}: {result}");
        return Parse(folder, result.Output);
    }

    public static IReadOnlyList<string> JobFiles() => [.. Directory.EnumerateFiles(Path.Combine(Root, "jobs"), "*.yaml")
        .Select(file => Path.GetFileName(file)!).Where(file => file != "kustomization.yaml").Order()];

    public static Rendered OfJob(string file) => OfFile(Path.Combine(Root, "jobs", file));

    public static Rendered OfFile(string path) => Parse(path, File.ReadAllText(path));

    public IReadOnlyList<T> All<T>() where T : IKubernetesObject<V1ObjectMeta> => [.. Objects.OfType<T>()];

    public bool Has<T>(string name) where T : IKubernetesObject<V1ObjectMeta> => All<T>().Any(o => o.Name() == name);

    /// <summary>The pods that its deployments and jobs make.</summary>
    public IReadOnlyList<PodOf> Pods() =>
    [
        .. All<V1Deployment>().Select(d => new PodOf(d.Name(), d.Spec.Template.Metadata.Labels, d.Spec.Template.Spec)),
        .. All<V1Job>().Select(j => new PodOf(j.Name(), j.Spec.Template.Metadata.Labels, j.Spec.Template.Spec)),
    ];

    public PodOf Pod(string owner) => Pods().Single(pod => pod.Owner == owner);

    private static Rendered Parse(string name, string yaml) => new(name, yaml,
        [.. KubernetesYaml.LoadAllFromString(yaml, null, strict: true).Cast<IKubernetesObject<V1ObjectMeta>>()]);

    private static string RepositoryRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Phi3VCluster.sln")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("the tests do not run inside the repository");
        return folder;
    }
}

/// <param name="Owner">The deployment or job.</param>
internal sealed record PodOf(string Owner, IDictionary<string, string> Labels, V1PodSpec Spec)
{
    public V1Container Container => Assert.Single(Spec.Containers);

    public bool IsSilo => Container.Image.Contains("phi3v-silo", StringComparison.Ordinal);

    /// <summary>Also what comes of its config maps.</summary>
    public IReadOnlyDictionary<string, string?> Environment(Rendered all)
    {
        var variables = new Dictionary<string, string?>();
        foreach (var source in Container.EnvFrom ?? [])
            foreach (var (name, value) in all.All<V1ConfigMap>().Single(map => map.Name() == source.ConfigMapRef.Name).Data)
                variables[name] = value;
        foreach (var variable in Container.Env ?? []) variables[variable.Name] = variable.Value;
        return variables;
    }

    public bool Matches(V1LabelSelector selector) =>
        (selector.MatchLabels ?? new Dictionary<string, string>()).All(label =>
            Labels.TryGetValue(label.Key, out var value) && value == label.Value)
        && (selector.MatchExpressions ?? []).All(e =>
            e.OperatorProperty == "In" && Labels.TryGetValue(e.Key, out var value) && e.Values.Contains(value));
}
