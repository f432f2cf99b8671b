using System.Text;

namespace Phi3VCluster.Monitoring.Tests.Rules;

/// <summary>Kubernetes gets the rules of deploy/prometheus, each file as an object of Prometheus' operator.</summary>
public sealed class PrometheusRuleTests
{
    /// <summary>After a change of the rules, PHI3V_REWRITE_RULES=1 writes the file anew.</summary>
    [Fact]
    public void The_manifest_holds_the_files_of_rules()
    {
        var (objects, written) = (Objects(), Checkout.At("deploy/k8s/monitoring/rules.yaml"));
        if (Environment.GetEnvironmentVariable("PHI3V_REWRITE_RULES") == "1") File.WriteAllText(written, objects);
        Assert.Equal(File.ReadAllText(written), objects);
    }

    private static string Objects()
    {
        var text = new StringBuilder("# Made of deploy/prometheus/rules by the tests of tests/Monitoring.Tests; change the rules there.\n");
        foreach (var file in Directory.EnumerateFiles(RuleFile.Folder, "*.yml").Order(StringComparer.Ordinal))
        {
            text.Append("---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n")
                .Append($"  name: phi3v-{Path.GetFileNameWithoutExtension(file)}\n  namespace: phi3v\nspec:\n");
            foreach (var line in File.ReadLines(file)) text.Append(line.Length == 0 ? "\n" : $"  {line}\n");
        }
        return text.ToString();
    }
}
