using k8s;
using k8s.Models;

namespace Phi3VCluster.Deploy.Tests.Podman;

/// <summary>
/// The pods of an overlay as podman runs them, each with an address of its own. What Kubernetes would do besides is done here by hand:
/// the deployments' copies, the services' names (in each pod's hosts file), the pod's own address, and the volumes' group.
/// </summary>
internal sealed class PodmanCluster : IAsyncDisposable
{
    private const string User = "1654:1654";

    private static readonly TimeSpan RunPatience = TimeSpan.FromMinutes(15); // two ranks on whatever cores this machine has to spare

    private readonly string _podman;
    private readonly Rendered _overlay;
    private readonly string _id = $"{Random.Shared.Next(1 << 24):x6}"; // two of them on one machine do not meet
    private readonly string _subnet = $"10.{Random.Shared.Next(100, 200)}.{Random.Shared.Next(256)}";
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-pods-").FullName;
    private readonly string _redisImage;
    private readonly HashSet<string> _pods = [];

    private PodmanCluster(string podman, Rendered overlay, string redisImage) =>
        (_podman, _overlay, _redisImage) = (podman, overlay, redisImage);

    public string Gateway => $"{AddressOf("phi3v-control", 0)}:30000";

    public static async Task<PodmanCluster> PrepareAsync(Rendered overlay)
    {
        var podman = Program.Find("podman");
        Assert.SkipWhen(podman is null, "podman is not installed");
        var redis = Environment.GetEnvironmentVariable("PHI3V_TEST_REDIS_IMAGE") ?? overlay.Pod("phi3v-redis").Container.Image;
        var ours = overlay.Pods().Where(pod => pod.Owner != "phi3v-redis").Select(pod => pod.Container.Image);
        foreach (var image in ours.Append(redis).Distinct())
            Assert.SkipWhen((await Program.RunAsync(podman!, ["image", "exists", image])).ExitCode != 0,
                $"podman has no image {image}; deploy/docker/README.md says how to make it");
        var cluster = new PodmanCluster(podman!, overlay, redis);
        await cluster.PodmanAsync("network", "create", "--subnet", $"{cluster._subnet}.0/24", cluster.Named("net"));
        var secret = overlay.All<V1Secret>().Single();
        await cluster.PodmanAsync("secret", "create", cluster.Named(secret.Metadata.Name), cluster.Write("secret", secret));
        foreach (var claim in overlay.All<V1PersistentVolumeClaim>())
        {
            var volume = cluster.Named(claim.Metadata.Name);
            await cluster.PodmanAsync("volume", "create", volume);
            await cluster.PodmanAsync("run", "--rm", "--pull=never", "--user=0", "--network=none", "--entrypoint=chown",
                $"--volume={volume}:/v", redis, User, "/v");
        }
        return cluster;
    }

    /// <returns>The pod's name, which is its node's.</returns>
    public async Task<string> StartAsync(string owner, int copy = 0)
    {
        var (pod, address) = (Manifest(owner, copy), AddressOf(owner, copy));
        var maps = _overlay.All<V1ConfigMap>().Select(map => $"--configmap={Write(map.Metadata.Name, map)}");
        _pods.Add(pod.Metadata.Name);
        await PodmanAsync(["play", "kube", $"--network={Named("net")}", $"--ip={address}", .. maps, Write(pod.Metadata.Name, pod)]);
        return pod.Metadata.Name;
    }

    public async Task<bool> IsReadyAsync(string owner, int copy)
    {
        using var http = new HttpClient();
        try
        {
            return (await http.GetAsync($"http://{AddressOf(owner, copy)}:8080/health/ready")).IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    /// <summary>As a node that is gone: nothing of the pod is told.</summary>
    public async Task KillAsync(string pod)
    {
        await PodmanAsync("pod", "kill", pod);
        await RemoveAsync(pod);
    }

    /// <summary>As <c>kubectl delete pod</c>: told to stop, and given the time that its manifest gives.</summary>
    public async Task DeleteAsync(string pod)
    {
        await PodmanAsync("pod", "stop", $"--time={OwnerOf(pod).Spec.TerminationGracePeriodSeconds}", pod);
        await RemoveAsync(pod);
    }

    public async Task<(int ExitCode, string Log)> EndOfAsync(string pod)
    {
        var ended = await Program.RunAsync(_podman, ["wait", ContainerOf(pod)], patience: RunPatience);
        return (int.Parse(ended.Output, System.Globalization.CultureInfo.InvariantCulture), await LogOfAsync(pod));
    }

    public async Task<string> LogOfAsync(string pod)
    {
        var log = await Program.RunAsync(_podman, ["logs", ContainerOf(pod)]);
        return log.Output + log.Errors;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var pod in _pods) await Program.RunAsync(_podman, ["pod", "rm", "--force", "--time=0", pod]);
        foreach (var claim in _overlay.All<V1PersistentVolumeClaim>())
            await Program.RunAsync(_podman, ["volume", "rm", "--force", Named(claim.Metadata.Name)]);
        await Program.RunAsync(_podman, ["secret", "rm", Named(_overlay.All<V1Secret>().Single().Metadata.Name)]);
        await Program.RunAsync(_podman, ["network", "rm", "--force", Named("net")]);
        Directory.Delete(_folder, recursive: true);
    }

    private PodOf OwnerOf(string pod) => _overlay.Pods().Single(known => pod.StartsWith(known.Owner + "-", StringComparison.Ordinal));

    private string ContainerOf(string pod) => $"{pod}-{OwnerOf(pod).Container.Name}";

    private V1Pod Manifest(string owner, int copy)
    {
        var yaml = KubernetesYaml.Serialize(_overlay.Pod(owner).Spec);
        var spec = KubernetesYaml.Deserialize<V1PodSpec>(yaml); // a copy of our own
        var container = spec.Containers[0];
        if (owner == "phi3v-redis") container.Image = _redisImage;
        container.ImagePullPolicy = "Never";
        container.Ports = null; // podman would open them on this machine too, where there is one of each
        (container.StartupProbe, container.ReadinessProbe, container.LivenessProbe, container.Lifecycle) = (null, null, null, null);
        foreach (var variable in (container.Env ?? []).Where(v => v.ValueFrom?.FieldRef?.FieldPath == "status.podIP"))
            (variable.Value, variable.ValueFrom) = (AddressOf(owner, copy), null);
        foreach (var volume in spec.Volumes)
        {
            if (volume.PersistentVolumeClaim is { } claim) claim.ClaimName = Named(claim.ClaimName);
            if (volume.Secret is { } secret) // podman 4.3 knows no group of volumes, and fails where optional is left out
                (secret.SecretName, secret.DefaultMode, secret.Optional) = (Named(secret.SecretName), null, false);
        }
        spec.HostAliases =
        [
            new() { Ip = AddressOf("phi3v-redis", 0), Hostnames = ["phi3v-redis"] },
            .. Enumerable.Range(0, 2).Select(i => new V1HostAlias { Ip = AddressOf("phi3v-control", i), Hostnames = ["phi3v-gateway"] }),
        ];
        return new() { ApiVersion = "v1", Kind = "Pod", Metadata = new() { Name = $"{owner}-{copy}-{_id}" }, Spec = spec };
    }

    private string AddressOf(string owner, int copy) =>
        $"{_subnet}.{10 * (1 + _overlay.Pods().ToList().FindIndex(pod => pod.Owner == owner)) + copy}";

    private string Named(string name) => $"{name}-{_id}";

    private string Write(string name, object manifest)
    {
        var path = Path.Combine(_folder, $"{name}.yaml");
        File.WriteAllText(path, KubernetesYaml.Serialize(manifest));
        return path;
    }

    private Task RemoveAsync(string pod) => PodmanAsync("pod", "rm", "--force", "--time=0", pod);

    private async Task<string> PodmanAsync(params string[] arguments)
    {
        // In a folder of its own: podman would build an image whose name is that of a folder here.
        var result = await Program.RunAsync(_podman, arguments, folder: _folder);
        Assert.True(result.ExitCode == 0, $"podman {string.Join(' ', arguments)}: {result}");
        return result.Output.Trim();
    }
}
