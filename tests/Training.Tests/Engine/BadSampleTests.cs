using System.Text.Json;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Tests.Checkpoints;
using Phi3VCluster.Training.Tests.Processing;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>Samples that a run finds at its start, or only later, to be of no use.</summary>
public sealed class BadSampleTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly QuickstartFiles _files;
    private readonly List<string> _rows;
    private int _runs;

    public BadSampleTests()
    {
        _files = QuickstartFiles.Create(_folder["sample"], seed: 3, new SampleSizes(TrainPages: 3, EvalPages: 1, TinySizes.Smallest));
        _rows = [.. Enumerable.Repeat(File.ReadAllLines(_files.Train), 60).SelectMany(rows => rows)];
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("fail")]
    [InlineData("skip")]
    public void A_sample_longer_than_the_context_is_found_before_training(string onBadSample)
    {
        var spec = Spec(onBadSample, Row("page-0000.png", new('x', 140_000)));

        const string reason = "tokens do not fit the model's context of 131072, 313 of them are 1 image(s)";
        if (onBadSample == "skip") AssertSkipped(spec, ":181: ", reason);
        else AssertRefused(spec, ":181: ", reason);
    }

    [Theory]
    [InlineData("fail")]
    [InlineData("skip")]
    public void A_file_that_is_no_image_is_found_before_training(string onBadSample)
    {
        File.WriteAllText(At("page.png"), "no image");
        var spec = Spec(onBadSample, Row("page.png", "u"));

        if (onBadSample == "skip") AssertSkipped(spec, ":181: ", "page.png: not an image that can be read");
        else AssertRefused(spec, ":181: ", "page.png: not an image that can be read");
    }

    [Fact]
    public void A_corrupt_image_is_skipped_and_listed()
    {
        File.WriteAllBytes(At("cut.png"), Cut());

        AssertSkipped(Spec("skip", Row("cut.png", "u")), ":181: ", "cut.png: the image is cut short");
    }

    [Fact]
    public void A_corrupt_image_whose_header_is_sound_ends_a_run_that_skips_nothing_by_name()
    {
        File.WriteAllBytes(At("cut.png"), Cut());

        var ends = LocalRun.Train(Spec("fail", Row("cut.png", "u")), worldSize: 1, NewOutput());

        Assert.Contains("cut.png: the image is cut short", Assert.Single(ends).Error);
    }

    [Fact]
    public void Held_out_samples_are_checked_as_well()
    {
        var path = _folder["sample/eval-long.jsonl"];
        File.WriteAllLines(path, [.. File.ReadLines(_files.Eval), Row("page-0000.png", new('x', 140_000))]);
        var spec = Spec("fail", _rows[0]);

        AssertRefused(spec with { Data = spec.Data with { Eval = path } }, "eval-long.jsonl:2: ", "tokens do not fit");
    }

    private void AssertRefused(RunSpec spec, params string[] parts)
    {
        var output = NewOutput();
        var end = Assert.Single(LocalRun.Train(spec, worldSize: 1, output));
        Assert.Equal((RankPhase.Failed, 0), (end.Phase, end.Step));
        Assert.All(parts, part => Assert.Contains(part, end.Error));
        Assert.False(File.Exists(Path.Combine(output, "steps.jsonl")));
    }

    private void AssertSkipped(RunSpec spec, params string[] parts)
    {
        var output = NewOutput();
        var end = Assert.Single(LocalRun.Train(spec, worldSize: 1, output));
        Assert.True(end.Phase == RankPhase.Finished, end.Error);
        var listed = Assert.Single(File.ReadAllLines(Path.Combine(output, "skipped-rows.txt")), line => line.Length > 0);
        Assert.All(parts, part => Assert.Contains(part, listed));
        Assert.Equal(180, LocalRun.Steps(output).Sum(step => step.GetProperty("sample_ids").GetArrayLength()));
    }

    private RunSpec Spec(string onBadSample, string lastRow)
    {
        var train = _folder["sample/rows.jsonl"];
        File.WriteAllLines(train, [.. _rows, lastRow]);
        return new()
        {
            Model = new() { Path = _files.Checkpoint, NumCrops = 1 },
            Method = new() { Kind = "head" },
            Data = new() { Train = train, OnBadSample = onBadSample },
            Batch = new() { Global = 181 },
            Optimizer = new() { WarmupSteps = 0 },
            Output = _folder.Path,
        };
    }

    private static string Row(string image, string user) => JsonSerializer.Serialize(new
    {
        id = "odd",
        conversations = new[] { new { images = new[] { $"train/{image}" }, user, assistant = "a" } },
    });

    private static byte[] Cut()
    {
        var whole = ImageTests.Png(ImageTests.Noise(64, 64));
        return whole[..(whole.Length / 2)];
    }

    private string At(string image) => _folder[$"sample/train/{image}"];

    private string NewOutput() => _folder[$"run-{_runs++}"];
}
