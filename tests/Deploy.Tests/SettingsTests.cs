using System.Text.RegularExpressions;
using k8s.Models;

namespace Phi3VCluster.Deploy.Tests;

/// <summary>The manifests say nothing that the silo and the command line do not know.</summary>
public sealed partial class SettingsTests
{
    /// <summary>Seconds that a silo takes to end beside its drain: SiloHost's patience, and what EndSurely adds.</summary>
    private const int SecondsToEnd = 10;

    private static readonly string[] VariablesOfTheCli =
        ["PHI3V_CLUSTER", "PHI3V_TLS_CERTIFICATE", "PHI3V_TLS_KEY", "PHI3V_TLS_AUTHORITY"];

    public static TheoryData<string> Overlays() => Rendered.Overlays();

    public static TheoryData<string> Jobs() => [.. Rendered.JobFiles()];

    [Theory, MemberData(nameof(Overlays))]
    public async Task Variables_of_the_silo_are_its_options(string overlay)
    {
        var all = await Rendered.OverlayAsync(overlay);
        var help = (await Program.RunAsync(Program.Built("Silo", "phi3v-silo"), ["--help"])).Output;
        var known = Option().Matches(help).Select(m => $"PHI3V_{m.Groups["name"].Value.Replace('-', '_').ToUpperInvariant()}").ToList();
        Assert.Contains("PHI3V_GATEWAY_PORT", known);
        foreach (var pod in all.Pods().Where(pod => pod.IsSilo))
            Assert.All(pod.Environment(all).Keys.Where(name => name.StartsWith("PHI3V_", StringComparison.Ordinal)),
                name => Assert.Contains(name, known));
    }

    /// <summary>Read with the pod's values, and refused for nothing but the Redis, which is not there.</summary>
    [Theory, MemberData(nameof(Overlays))]
    public async Task A_silo_takes_the_values(string overlay)
    {
        var all = await Rendered.OverlayAsync(overlay);
        var password = Path.GetTempFileName();
        await File.WriteAllTextAsync(password, "any");
        var certificates = Directory.CreateTempSubdirectory("phi3v-").FullName;
        await Program.RunAsync(Program.Built("Client", "phi3v"), ["certs", "--to", certificates, "--silo", "silo"]);
        foreach (var pod in all.Pods().Where(pod => pod.IsSilo))
        {
            var values = pod.Environment(all).Where(v => v.Value is not null).ToDictionary(v => v.Key, v => v.Value!);
            values["PHI3V_REDIS"] = values["PHI3V_REDIS"].Replace("phi3v-redis:6379", "127.0.0.1:1", StringComparison.Ordinal);
            (values["PHI3V_REDIS_PASSWORD_FILE"], values["PHI3V_MIN_GPUS"]) = (password, "0");
            if (values["PHI3V_TLS_CERTIFICATE"].Length > 0)
            {
                (string Name, string File)[] own = [("CERTIFICATE", "silo.crt"), ("KEY", "silo.key"), ("AUTHORITY", "authority.crt")];
                foreach (var (name, file) in own) values[$"PHI3V_TLS_{name}"] = Path.Combine(certificates, file);
                values["PHI3V_REDIS_AUTHORITY"] = values["PHI3V_TLS_AUTHORITY"];
            }
            else Assert.Equal("true", values["PHI3V_INSECURE"]);
            // A pod's own address, by which it is reached.
            values["PHI3V_ADVERTISE"] = "192.0.2.1";
            var result = await Program.RunAsync(
                Program.Built("Silo", "phi3v-silo"), ["--gateway-port", "0", "--silo-port", "0", "--http-port", "0"], values);
            Assert.Equal(2, result.ExitCode);
            var how = values["PHI3V_REDIS"].EndsWith(",ssl=true", StringComparison.Ordinal) ? " by TLS" : "";
            Assert.StartsWith($"--redis: no Redis answers{how} at '127.0.0.1:1'", Assert.Single(result.Errors.Trim().Split('\n')));
        }
        File.Delete(password);
        Directory.Delete(certificates, recursive: true);
    }

    [Theory, MemberData(nameof(Overlays))]
    public async Task A_pod_is_given_the_time_that_its_silo_drains(string overlay)
    {
        var all = await Rendered.OverlayAsync(overlay);
        foreach (var pod in all.Pods().Where(pod => pod.IsSilo))
        {
            var drain = int.Parse(pod.Environment(all)["PHI3V_DRAIN_SECONDS"]!, System.Globalization.CultureInfo.InvariantCulture);
            var before = pod.Container.Lifecycle?.PreStop?.Sleep?.Seconds ?? 0;
            Assert.True(pod.Spec.TerminationGracePeriodSeconds >= before + drain + SecondsToEnd,
                $"{pod.Owner}: {pod.Spec.TerminationGracePeriodSeconds} s are given, {before} + {drain} + {SecondsToEnd} are taken");
        }
    }

    [Theory, MemberData(nameof(Overlays))]
    public async Task A_pod_offers_as_many_ranks_as_it_has_gpus(string overlay)
    {
        var all = await Rendered.OverlayAsync(overlay);
        var pod = all.Pod("phi3v-ranks");
        var gpus = (pod.Container.Resources.Limits ?? new Dictionary<string, ResourceQuantity>())
            .TryGetValue("nvidia.com/gpu", out var quantity) ? quantity.ToInt32() : 0;
        var values = pod.Environment(all);
        Assert.Equal($"{gpus}", values["PHI3V_MIN_GPUS"]);
        if (gpus > 0) Assert.Equal($"{gpus}", values["PHI3V_RANKS"]);
    }

    [Theory, MemberData(nameof(Jobs))]
    public async Task A_job_s_command_is_one_that_the_command_line_takes(string job)
    {
        var pod = Assert.Single(Rendered.OfJob(job).Pods());
        Assert.All(pod.Container.Env, variable => Assert.Contains(variable.Name, VariablesOfTheCli));
        // The words and options are checked before anything is done: --help then shows the verb's own, and what is unknown is refused.
        var result = await Program.RunAsync(Program.Built("Client", "phi3v"), [.. pod.Container.Args, "--no-such-option"]);
        Assert.Contains("--no-such-option", Assert.Single(result.Errors.Trim().Split('\n')));
        var help = await Program.RunAsync(Program.Built("Client", "phi3v"), [pod.Container.Args[0], "--help"]);
        Assert.All(pod.Container.Args.Where(arg => arg.StartsWith("--", StringComparison.Ordinal)),
            arg => Assert.Contains(arg, help.Output));
    }

    [Fact]
    public async Task Probes_ask_for_what_a_silo_answers()
    {
        var all = await Rendered.OverlayAsync("aks-a100");
        var probes = all.Pods().SelectMany(ReferenceTests.Probes).Where(probe => probe.HttpGet is not null);
        var paths = probes.Select(probe => probe.HttpGet.Path).ToHashSet();
        Assert.Equal(["/health/live", "/health/ready"], paths.Order());
        await using var silo = await LocalSilo.StartAsync();
        foreach (var path in paths.Append("/metrics"))
            Assert.Equal(System.Net.HttpStatusCode.OK, (await silo.Http.GetAsync(path)).StatusCode);
    }

    [GeneratedRegex(@"^\s+(?:-\?, -h, )?--(?<name>[a-z][a-z-]*)", RegexOptions.Multiline)]
    private static partial Regex Option();
}
