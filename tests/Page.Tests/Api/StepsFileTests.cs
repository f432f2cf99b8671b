using System.Text.Json;
using Phi3VCluster.Silo.Http;

namespace Phi3VCluster.Page.Tests.Api;

public sealed class StepsFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(57)]
    [InlineData(299)]
    [InlineData(300)]
    public void From_any_step_on_each_is_there_once(int from)
    {
        Write(300);

        var series = StepsFile.Read(Run, from, points: 1000);

        Assert.Equal(Enumerable.Range(from, 301 - from).Select(step => (long)step), series.Step);
        Assert.Equal(series.Step.Select(step => step / 10.0), series.Loss);
        Assert.Equal((1, 301), (series.StepsPerPoint, series.Next));
    }

    [Fact]
    public void Many_steps_are_means_of_neighbours()
    {
        Write(300);

        var series = StepsFile.Read(Run, 1, points: 100);

        Assert.Equal((3, 100, 301), (series.StepsPerPoint, series.Step.Count, series.Next));
        Assert.Equal((3, 0.2), (series.Step[0], Math.Round(series.Loss[0], 12))); // of 0.1, 0.2, 0.3
        Assert.Equal(8 / 0.5, series.ImagesPerSecond[0]);
        var uneven = StepsFile.Read(Run, 1, points: 7);
        Assert.Equal((43, 7, 300, 301), (uneven.StepsPerPoint, uneven.Step.Count, uneven.Step[^1], uneven.Next));
    }

    [Fact]
    public void A_line_that_is_being_written_is_for_the_next_question()
    {
        Write(5);
        File.AppendAllText(Run.At("steps.jsonl"), Line(6)[..40]);
        Assert.Equal([4, 5], StepsFile.Read(Run, 4, points: 10).Step);

        File.AppendAllText(Run.At("steps.jsonl"), Line(6)[40..] + "\n");
        var next = StepsFile.Read(Run, 6, points: 10);
        Assert.Equal([6], next.Step);
        Assert.Equal(7, next.Next);
    }

    [Fact]
    public void What_is_not_there_yet_is_empty_and_what_cannot_be_seen_says_so()
    {
        Assert.Null(StepsFile.Read(Run, 1, 10).Problem);
        File.WriteAllText(Run.At("steps.jsonl"), "");
        Assert.Empty(StepsFile.Read(Run, 1, 10).Step);
        Assert.Equal(1, StepsFile.Read(Run, 1, 10).Next);
        Write(3);
        Assert.Equal(4, StepsFile.Read(Run, 4, 10).Next);
        Assert.Contains("n1 does not see /nowhere", StepsFile.Read(Run with { Folder = "/nowhere" }, 1, 10).Problem);
    }

    [Fact]
    public void A_diverged_loss_is_no_hindrance()
    {
        File.WriteAllText(Run.At("steps.jsonl"), Line(1).Replace("\"loss\":0.1", "\"loss\":\"NaN\"", StringComparison.Ordinal) + "\n");
        Assert.Equal([double.NaN], StepsFile.Read(Run, 1, 10).Loss);
    }

    private RunOutput Run => new("r", "n1", _folder);

    private void Write(int steps) => File.WriteAllLines(Run.At("steps.jsonl"), Enumerable.Range(1, steps).Select(Line));

    // Lines of different lengths, longer than a block now and then: the search must not count on any.
    private static string Line(int step) => JsonSerializer.Serialize(new
    {
        step,
        epoch = 0,
        generation = 1,
        world_size = 2,
        loss = step / 10.0,
        grad_norm = 1.5,
        learning_rate = 0.001,
        images = 8,
        tokens = 100,
        seconds = 0.5,
        sample_ids = (string[])[new('x', step * 37 % 9000)],
    });
}
