using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;

namespace Phi3VCluster.Monitoring.Tests.Rules;

/// <summary>A file of rules, as far as these tests look at it.</summary>
internal sealed class RuleFile
{
    private static readonly IDeserializer Reader = new DeserializerBuilder()
        .WithNamingConvention(UnderscoredNamingConvention.Instance).IgnoreUnmatchedProperties().Build();

    public List<RuleGroup> Groups { get; set; } = [];

    public static string Folder { get; } = Checkout.At("deploy/prometheus/rules");

    public static IReadOnlyList<Rule> All() =>
        [.. Directory.GetFiles(Folder, "*.yml").Order().SelectMany(file => Read<RuleFile>(file).Groups).SelectMany(group => group.Rules)];

    public static T Read<T>(string file) => Reader.Deserialize<T>(File.ReadAllText(file));
}

internal sealed class RuleGroup
{
    public List<Rule> Rules { get; set; } = [];
}

internal sealed class Rule
{
    public string? Record { get; set; }
    public string? Alert { get; set; }
    public string Expr { get; set; } = "";
    public Dictionary<string, string> Labels { get; set; } = [];
    public Dictionary<string, string> Annotations { get; set; } = [];
}

/// <summary>A file of <c>promtool test rules</c>.</summary>
internal sealed class RuleTestFile
{
    public List<RuleTest> Tests { get; set; } = [];

    public static string[] Paths { get; } = [.. Directory.GetFiles(Checkout.At("deploy/prometheus/tests"), "*.yml").Order()];
}

internal sealed class RuleTest
{
    public List<AlertTest> AlertRuleTest { get; set; } = [];
    public List<ExpressionTest> PromqlExprTest { get; set; } = [];
}

internal sealed class AlertTest
{
    public string Alertname { get; set; } = "";
    public List<object> ExpAlerts { get; set; } = [];
}

internal sealed class ExpressionTest
{
    public string Expr { get; set; } = "";
}
