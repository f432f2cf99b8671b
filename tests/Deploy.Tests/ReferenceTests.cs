using System.Text.RegularExpressions;
using k8s.Models;

namespace Phi3VCluster.Deploy.Tests;

/// <summary>What one manifest says of another is there, and what Kubernetes would refuse is not.</summary>
public sealed partial class ReferenceTests
{
    /// <summary>Made by hand, or by deploy/aks, because they are nobody's to read.</summary>
    private static readonly string[] SecretsOfTheUser = ["phi3v-redis", "phi3v-redis-tls", "phi3v-tls"];

    public static TheoryData<string> Overlays() => Rendered.Overlays();

    [Theory, MemberData(nameof(Overlays))]
    public async Task An_overlay_holds_a_whole_cluster(string overlay)
    {
        var all = await Rendered.OverlayAsync(overlay);
        Assert.Equal(["phi3v-control", "phi3v-ranks", "phi3v-redis"], all.All<V1Deployment>().Select(d => d.Metadata.Name).Order());
        Assert.NotEmpty(all.All<V1NetworkPolicy>());
        Assert.Equal(2, all.All<V1PodDisruptionBudget>().Count);
    }

    [Theory, MemberData(nameof(Overlays))]
    public async Task Selectors_find_pods(string overlay)
    {
        var all = await Rendered.OverlayAsync(overlay);
        var pods = all.Pods();
        var cli = Rendered.OfJob("submit.yaml").Pods();
        foreach (var deployment in all.All<V1Deployment>())
            Assert.True(all.Pod(deployment.Metadata.Name).Matches(deployment.Spec.Selector),
                $"{deployment.Metadata.Name} does not find its own pods");
        var selectors = all.All<V1Service>().Select(s => (s.Metadata.Name, new V1LabelSelector { MatchLabels = s.Spec.Selector }))
            .Concat(all.All<V1PodDisruptionBudget>().Select(b => (b.Metadata.Name, b.Spec.Selector)))
            .Concat(all.All<V1NetworkPolicy>().Select(p => (p.Metadata.Name, p.Spec.PodSelector)))
            .Concat(all.All<V1NetworkPolicy>().SelectMany(p => Peers(p).Where(peer => peer.PodSelector is not null)
                .Select(peer => (p.Metadata.Name, peer.PodSelector))));
        Assert.All(selectors, selector =>
            Assert.True(pods.Concat(cli).Any(pod => pod.Matches(selector.Item2)), $"{selector.Name} selects no pod"));
    }

    [Theory, MemberData(nameof(Overlays))]
    public async Task Ports_are_there(string overlay)
    {
        var all = await Rendered.OverlayAsync(overlay);
        var pods = all.Pods();
        foreach (var port in pods.SelectMany(pod => pod.Container.Ports ?? []))
            Assert.InRange(port.ContainerPort, 1, 65535);
        foreach (var pod in pods)
            foreach (var probe in Probes(pod).Where(probe => probe.HttpGet is not null))
                AssertHasPort(pod, probe.HttpGet.Port.Value, $"{pod.Owner}'s probe");
        foreach (var service in all.All<V1Service>())
            foreach (var pod in pods.Where(pod => pod.Matches(new() { MatchLabels = service.Spec.Selector })))
                foreach (var port in service.Spec.Ports) AssertHasPort(pod, port.TargetPort.Value, service.Metadata.Name);
        foreach (var policy in all.All<V1NetworkPolicy>())
            foreach (var pod in pods.Where(pod => pod.Matches(policy.Spec.PodSelector)))
                foreach (var port in (policy.Spec.Ingress ?? []).SelectMany(rule => rule.Ports ?? []))
                    AssertHasPort(pod, port.Port.Value, policy.Metadata.Name);
    }

    [Theory, MemberData(nameof(Overlays))]
    public async Task Volumes_mounts_and_what_they_are_made_of_are_there(string overlay)
    {
        var all = await Rendered.OverlayAsync(overlay);
        foreach (var pod in all.Pods())
        {
            var volumes = pod.Spec.Volumes.Select(volume => volume.Name).ToList();
            Assert.Equal(volumes.Distinct(), volumes);
            Assert.Equal(volumes.Order(), pod.Container.VolumeMounts.Select(mount => mount.Name).Distinct().Order());
            var paths = pod.Container.VolumeMounts.Select(mount => mount.MountPath).ToList();
            Assert.Equal(paths.Distinct(), paths);
            foreach (var volume in pod.Spec.Volumes) AssertSource(all, pod, volume);
            foreach (var source in pod.Container.EnvFrom ?? [])
                Assert.True(all.Has<V1ConfigMap>(source.ConfigMapRef.Name), source.ConfigMapRef.Name);
            Assert.True(all.Has<V1ServiceAccount>(pod.Spec.ServiceAccountName), pod.Spec.ServiceAccountName);
            if (pod.Spec.PriorityClassName is { } priority) Assert.True(all.Has<V1PriorityClass>(priority), priority);
        }
    }

    [Theory, MemberData(nameof(Overlays))]
    public async Task Names_are_ones_and_values_of_variables_are_text(string overlay)
    {
        var all = await Rendered.OverlayAsync(overlay);
        Assert.All(all.Objects, o => Assert.Matches(DnsName(), o.Metadata.Name));
        Assert.All(all.Objects.Where(o => o is not (V1Namespace or V1PriorityClass)),
            o => Assert.Equal("phi3v", o.Metadata.NamespaceProperty));
        Assert.All(all.Pods().SelectMany(pod => pod.Container.Ports ?? []), port => Assert.Matches(PortName(), port.Name));
        Assert.Empty(ValueThatIsNoText().Matches(all.Yaml)); // kubectl would send them; the server refuses them
        Assert.Equal(all.Objects.Count, all.Objects.Select(o => (o.Kind, o.Metadata.Name)).Distinct().Count());
    }

    [Fact]
    public async Task What_prometheus_scrapes_is_a_port_of_the_silos()
    {
        var overlay = await Rendered.OverlayAsync("aks-a100");
        var monitor = File.ReadAllText(Path.Combine(Rendered.Root, "monitoring", "pod-monitor.yaml")); // its type comes with its operator
        Assert.Contains("path: /metrics", monitor);
        foreach (var pod in overlay.Pods().Where(pod => pod.IsSilo)) AssertHasPort(pod, "http", "the pod monitor");
        Assert.Contains("values: [control, ranks]", monitor);
    }

    [Fact]
    public async Task Every_dashboard_comes_as_a_map_that_grafana_looks_for()
    {
        var maps = (await Rendered.FolderAsync("../grafana")).All<V1ConfigMap>();
        Assert.Equal(
            Directory.EnumerateFiles(Path.Combine(Rendered.Root, "../grafana/dashboards")).Select(Path.GetFileName).Order(),
            maps.SelectMany(map => map.Data.Keys).Order());
        Assert.All(maps, map => Assert.Equal("1", map.Metadata.Labels["grafana_dashboard"]));
    }

    /// <summary>The operator's types are not known here: that it is put together at all is what is shown.</summary>
    [Fact]
    public async Task The_folder_of_monitoring_holds_monitor_rules_and_dashboards()
    {
        var kubectl = Program.Find("kubectl");
        Assert.SkipWhen(kubectl is null, "kubectl is not installed");
        var result = await Program.RunAsync(kubectl!, ["kustomize", Path.Combine(Rendered.Root, "monitoring")]);
        Assert.True(result.ExitCode == 0, result.ToString());
        foreach (var kind in (string[])["PodMonitor", "PrometheusRule", "ConfigMap"]) Assert.Contains($"kind: {kind}\n", result.Output);
    }

    [Fact]
    public async Task Cert_manager_makes_the_secrets_that_pods_mount_with_the_roles_that_silos_ask_for()
    {
        var made = await File.ReadAllTextAsync(Path.Combine(Rendered.Root, "components", "cert-manager", "certificates.yaml"));
        var overlay = await Rendered.OverlayAsync("aks-a100");
        Assert.All(overlay.Pods().Where(pod => pod.IsSilo), silo => Assert.Contains("phi3v-tls", SecretsOf(silo)));
        Assert.Contains("secretName: phi3v-tls\n  commonName: silo\n  uris: [\"phi3v:silo\"]", made);
        Assert.Equal(["phi3v-tls-client"], SecretsOf(Assert.Single(Rendered.OfJob("submit.yaml").Pods())));
        Assert.Contains("secretName: phi3v-tls-client\n  commonName: client\n  uris: [\"phi3v:client\"]", made);
        var redis = overlay.Pods().Single(pod => pod.IsSilo && pod.Owner == "phi3v-control").Environment(overlay)["PHI3V_REDIS"]!;
        Assert.Contains("phi3v-redis-tls", SecretsOf(overlay.Pod("phi3v-redis")));
        Assert.Contains($"secretName: phi3v-redis-tls\n  dnsNames: [{redis.Split(':')[0]}]", made);
    }

    private static IEnumerable<string> SecretsOf(PodOf pod) =>
        pod.Spec.Volumes.Select(volume => volume.Secret?.SecretName).OfType<string>();

    private static void AssertSource(Rendered all, PodOf pod, V1Volume volume)
    {
        if (volume.ConfigMap is { Optional: not true } map) Assert.True(all.Has<V1ConfigMap>(map.Name), $"{pod.Owner}: {map.Name}");
        if (volume.PersistentVolumeClaim is { } claim)
            Assert.True(all.Has<V1PersistentVolumeClaim>(claim.ClaimName), $"{pod.Owner}: {claim.ClaimName}");
        if (volume.Secret is { } secret)
            Assert.True(all.Has<V1Secret>(secret.SecretName) || SecretsOfTheUser.Contains(secret.SecretName),
                $"{pod.Owner}: {secret.SecretName}");
    }

    private static void AssertHasPort(PodOf pod, string port, string who) =>
        Assert.True((pod.Container.Ports ?? []).Any(p => p.Name == port || $"{p.ContainerPort}" == port),
            $"{who}: {pod.Owner} has no port {port}");

    private static IEnumerable<V1NetworkPolicyPeer> Peers(V1NetworkPolicy policy) =>
        (policy.Spec.Ingress ?? []).SelectMany(rule => rule.FromProperty ?? [])
            .Concat((policy.Spec.Egress ?? []).SelectMany(rule => rule.To ?? []));

    internal static IEnumerable<V1Probe> Probes(PodOf pod) =>
        ((V1Probe?[])[pod.Container.StartupProbe, pod.Container.ReadinessProbe, pod.Container.LivenessProbe]).OfType<V1Probe>();

    [GeneratedRegex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    private static partial Regex DnsName();

    [GeneratedRegex("^(?=.*[a-z])[a-z0-9-]{1,15}$")]
    private static partial Regex PortName();

    [GeneratedRegex(@"^\s+(- )?value: (true|false|null|[0-9.]+)\s*$", RegexOptions.Multiline)]
    private static partial Regex ValueThatIsNoText();
}
