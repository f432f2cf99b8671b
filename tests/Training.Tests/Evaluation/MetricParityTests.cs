using Phi3VCluster.Training.Evaluation;
using Phi3VCluster.Training.Tests.Processing;

namespace Phi3VCluster.Training.Tests.Evaluation;

[Trait("Category", "Parity")]
public sealed class MetricParityTests
{
    [Fact]
    public void Every_case_scores_as_published()
    {
        var (problems, count) = (new List<string>(), 0);
        foreach (var one in FixtureFolder.Lines(FixtureFolder.Path("data", "metrics.jsonl")))
        {
            count++;
            var metric = Catalog<IMetric>.Find(one.GetProperty("metric").GetString()!, "metric");
            var references = one.GetProperty("references").EnumerateArray()
                .Select(r => r.ValueKind == System.Text.Json.JsonValueKind.Array
                    ? r.EnumerateArray().Select(t => t.GetString()!).ToList()
                    : [r.GetString()!]);
            var scores = one.GetProperty("predictions").EnumerateArray()
                .Zip(references, (p, r) => metric.Score(p.GetString()!, r)).ToList();
            var expected = one.GetProperty("per_example").EnumerateArray().Select(v => v.GetDouble()).ToList();
            if (scores.Count != expected.Count
                || scores.Zip(expected, (a, b) => Math.Abs(a - b))
                    .Append(Math.Abs(scores.Average() - one.GetProperty("value").GetDouble())).Max() > 1e-12)
                problems.Add($"{one.GetProperty("case")}: {string.Join(' ', scores)}");
        }
        FixtureFolder.AssertNone(problems, count);
    }
}
