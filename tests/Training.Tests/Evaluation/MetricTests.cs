using Phi3VCluster.Training.Evaluation;

namespace Phi3VCluster.Training.Tests.Evaluation;

public sealed class MetricTests
{
    [Theory]
    [InlineData("hello", "hello", 1)]
    [InlineData(" hello. ", "hello", 1)]
    [InlineData("hallo", "hello", 0.8)]
    [InlineData("ab", "ax", 0)]
    [InlineData("abc", "abx", 2 / 3.0)]
    [InlineData(" . ", ".", 0)]
    [InlineData("😀a", "😀b😀", 0)]
    [InlineData("😀ab", "😀ac", 2 / 3.0)]
    [InlineData("\u001chello\u001f", "hello", 1)]
    public void Anls_is_one_minus_the_share_of_edits_and_nothing_from_a_half_on(string prediction, string answer, double score) =>
        Assert.Equal(score, Metric("anls").Score(prediction, ["nothing like it at all", answer]), 1e-12);

    [Theory]
    [InlineData("Yes.", "yes", 1)]
    [InlineData(" NO ", "No.", 1)]
    [InlineData("yes!", "yes", 0)]
    [InlineData("İ", "i\u0307", 1)]
    [InlineData("ΟΔΟΣ", "οδος", 1)]
    [InlineData("ΟΔΟΣ", "οδοσ", 0)]
    [InlineData("ΣΑ Σ", "σα σ", 1)]
    public void Accuracy_compares_stripped_lower_case_text(string prediction, string answer, double score) =>
        Assert.Equal(score, Metric("accuracy").Score(prediction, [answer]));

    private static IMetric Metric(string name) => Catalog<IMetric>.Find(name, "evaluation.metric");
}
