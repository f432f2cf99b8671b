using k8s.Models;

namespace Phi3VCluster.Deploy.Tests;

/// <summary>Pods have no more rights than they need.</summary>
public sealed class SecurityTests
{
    public static TheoryData<string> Overlays() => Rendered.Overlays();

    [Theory, MemberData(nameof(Overlays))]
    public async Task Pods_are_restricted_but_for_memory_that_infiniband_pins(string overlay)
    {
        var all = await Rendered.OverlayAsync(overlay);
        var jobs = Rendered.JobFiles().SelectMany(file => Rendered.OfJob(file).Pods());
        foreach (var pod in all.Pods().Concat(jobs))
        {
            var (whole, own) = (pod.Spec.SecurityContext, pod.Container.SecurityContext);
            var pins = own.Capabilities.Add?.Contains("IPC_LOCK") == true;
            Assert.True(own.ReadOnlyRootFilesystem, pod.Owner);
            Assert.False(own.AllowPrivilegeEscalation, pod.Owner);
            Assert.Equal(["ALL"], own.Capabilities.Drop);
            Assert.Equal("RuntimeDefault", whole.SeccompProfile.Type);
            Assert.False(pod.Spec.AutomountServiceAccountToken, pod.Owner);
            Assert.Null(pod.Spec.HostNetwork);
            Assert.All(pod.Spec.Volumes, volume => Assert.Null(volume.HostPath));
            Assert.Equal(!pins, whole.RunAsNonRoot);
            Assert.Equal(pins ? 0 : 1654, whole.RunAsUser);
            if (pins) Assert.Equal(["IPC_LOCK"], own.Capabilities.Add);
            else Assert.Null(own.Capabilities.Add);
            Assert.True(!pins || pod.Owner == "phi3v-ranks", pod.Owner);
        }
        var level = Assert.Single(all.All<V1Namespace>()).Metadata.Labels["pod-security.kubernetes.io/enforce"];
        var anyPins = all.Pods().Any(pod => pod.Container.SecurityContext.Capabilities.Add is not null);
        Assert.Equal(anyPins ? "privileged" : "restricted", level);
    }

    /// <summary>They are variables, and a service of ours named gateway would be read as --gateway-port.</summary>
    [Theory, MemberData(nameof(Overlays))]
    public async Task No_pod_is_told_of_services_by_variables(string overlay) =>
        Assert.All((await Rendered.OverlayAsync(overlay)).Pods(), pod => Assert.False(pod.Spec.EnableServiceLinks, pod.Owner));

    [Theory, MemberData(nameof(Overlays))]
    public async Task Everything_that_is_let_in_is_let_in_by_name(string overlay)
    {
        var policies = (await Rendered.OverlayAsync(overlay)).All<V1NetworkPolicy>();
        var closed = Assert.Single(policies, policy =>
            policy.Spec.PodSelector.MatchLabels is null && policy.Spec.PodSelector.MatchExpressions is null);
        Assert.Null(closed.Spec.Ingress);
        Assert.All(policies.SelectMany(policy => policy.Spec.Ingress ?? []), rule => Assert.NotEmpty(rule.FromProperty));
        Assert.All(policies.SelectMany(policy => policy.Spec.Egress ?? []), rule => Assert.NotEmpty(rule.To));
    }
}
