using System.Text.Json;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Tests.Processing;

namespace Phi3VCluster.Training.Tests.Engine.Jobs;

[Trait("Category", "Parity")]
public sealed class InspectParityTests
{
    private const double EstimateTolerance = 0.1; // of all texts together

    /// <summary>Every data file with a dataset that reads its layout.</summary>
    private static IEnumerable<(JsonProperty File, InspectJob Job)> Cases() =>
        from file in JsonDocument.Parse(File.ReadAllBytes(FixtureFolder.Path("data", "expected.json"))).RootElement
            .GetProperty("files").EnumerateObject()
        let layout = file.Value.GetProperty("layout").GetString()!
        select (file, new InspectJob
        {
            DataKind = layout == "cauldron" ? "cauldron-docvqa" : layout,
            Data = FixtureFolder.Path("data", file.Name),
            ImageRoot = file.Value.TryGetProperty("images_relative_to", out var root)
                ? FixtureFolder.Path("data", root.GetString()!)
                : null,
            Pages = 3,
        });

    [Fact]
    public void The_bad_rows_are_those_that_must_be_refused()
    {
        var (problems, rowCount) = (new List<string>(), 0);
        foreach (var (file, job) in Cases())
        {
            var rows = file.Value.GetProperty("rows").EnumerateArray().ToList();
            rowCount += rows.Count;
            var expected = rows.Where(row => !row.GetProperty("ok").GetBoolean()).Select(row => row.GetProperty("row").GetInt32()).ToList();

            var result = JobRun.Inspect(job);

            if (result.Rows != rows.Count) problems.Add($"{file.Name}: {result.Rows} rows");
            if (!result.Bad.Select(bad => bad.Index).SequenceEqual(expected))
                problems.Add($"{file.Name}: {string.Join(", ", result.Bad.Select(bad => $"{bad.Index} {bad.Reason}"))}; "
                    + $"expected {string.Join(' ', expected)}");
            if (result.Pages != 3) problems.Add($"{file.Name}: {result.Pages} pages on the sheet");
            TestContext.Current.TestOutputHelper!.WriteLine($"{file.Name}: {result.BadRows} of {result.Rows} rows are bad");
        }
        FixtureFolder.AssertNone(problems, rowCount);
    }

    [Fact]
    public void Estimated_texts_are_about_as_long_as_tokenised_ones()
    {
        var exact = new SampleMeasure(Tokenizer.Load(FixtureFolder.Path("..", "reference", "phi-3-vision-128k-instruct")));
        var estimate = new SampleMeasure(TextEstimate.Tokens);
        var (estimated, counted) = (0, 0);
        var sound = Cases().Where(one =>
            !one.File.Name.StartsWith("nulls", StringComparison.Ordinal) && !one.File.Name.Contains("-bad."));
        foreach (var (_, job) in sound)
        {
            using var data = Catalog<IDataset>.Find(job.DataKind, "KIND")
                .Open(new() { Train = job.Data, ImageRoot = job.ImageRoot }, job.Data);
            foreach (var sample in Enumerable.Range(0, data.Count).Select(data.Read))
            {
                estimated += estimate.ForTraining(sample, _ => 0);
                counted += exact.ForTraining(sample, _ => 0);
            }
        }
        TestContext.Current.TestOutputHelper!.WriteLine($"{estimated} tokens estimated, {counted} counted");
        Assert.InRange(estimated / (double)counted, 1 - EstimateTolerance, 1 + EstimateTolerance);
    }
}
