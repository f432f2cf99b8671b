using Phi3VCluster.Samples;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Tests.Checkpoints;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>What was trained is not lost: not by what comes after it, not by a full disk, not by half a folder.</summary>
public sealed class ExportTests(SmallRuns runs) : IClassFixture<SmallRuns>
{
    [Fact]
    public void A_last_evaluation_that_fails_leaves_the_trained_weights_and_says_where()
    {
        using var folder = new TemporaryFolder();
        var files = QuickstartFiles.Create(folder["files"], seed: 5, new(TrainPages: 4, EvalPages: 4, TinySizes.Smallest));
        var page = Directory.EnumerateFiles(Path.Combine(Path.GetDirectoryName(files.Eval)!, "eval"), "*.png").Order().First();
        File.WriteAllBytes(page, File.ReadAllBytes(page)[..^100]); // looks whole until it is decoded
        var spec = runs.Lora with
        {
            Model = new() { Path = files.Checkpoint, NumCrops = 1 },
            Data = new() { Train = files.Train, Eval = files.Eval },
            Evaluation = new() { Before = false, Metric = "loss" },
        };

        var errors = runs.Fail(spec, worldSize: 2, out var output);

        var said = Assert.Single(errors, error => error.Contains("the last evaluation failed"));
        Assert.StartsWith($"what was trained is whole, in {Path.Combine(output, "adapter")}, but the last evaluation failed: ", said);
        Assert.Contains(Path.GetFileName(page), said);
        using var adapter = PeftAdapter.Load(Path.Combine(output, "adapter"));
        Assert.NotEmpty(adapter.Names);
        Assert.True(File.Exists(Path.Combine(output, "report.json")));
    }

    [Theory]
    [InlineData("full")]
    [InlineData("lora")]
    public void The_size_of_the_result_is_known_before(string method)
    {
        var spec = runs.Spec with { Method = new() { Kind = method, Rank = 4 } };
        var known = TrainedExport.NeedOf(spec, ScalarType.Float32, steps: 1).Result;

        var output = runs.Finish(spec);

        var result = new DirectoryInfo(Path.Combine(output, method == "full" ? "model" : "adapter"));
        var written = result.EnumerateFiles().Sum(file => file.Length);
        Assert.InRange(known - written, 0, 1 << 20);
        Assert.Empty(Directory.EnumerateDirectories(output, "*.partial*"));
    }

    [Fact]
    public void A_folder_is_there_whole_or_not_at_all()
    {
        using var folder = new TemporaryFolder();
        AtomicFolder.Replace(folder["model"], partial => File.WriteAllText(Path.Combine(partial, "a"), "first"));

        Assert.Throws<IOException>(() => AtomicFolder.Replace(folder["model"], partial =>
        {
            File.WriteAllText(Path.Combine(partial, "a"), "half");
            throw new IOException("No space left on device");
        }));
        Assert.Equal("first", File.ReadAllText(Path.Combine(folder["model"], "a")));
        Assert.Single(Directory.EnumerateDirectories(folder.Path));

        AtomicFolder.Replace(folder["model"], partial => File.WriteAllText(Path.Combine(partial, "b"), "second"));
        Assert.Equal(["b"], Directory.EnumerateFiles(folder["model"]).Select(Path.GetFileName));
        Assert.Single(Directory.EnumerateDirectories(folder.Path));
    }

    [Fact]
    public void An_export_ends_between_two_tensors_when_it_is_aborted()
    {
        using var folder = new TemporaryFolder();
        using var source = CheckpointFolder.Open(runs.Spec.Model.Path);
        using var stop = new CancellationTokenSource();
        var name = source.Names.First();
        var first = new StoredTensor(source.Info(name), source.Type(name), () =>
        {
            stop.Cancel();
            return zeros(source.Info(name).Shape);
        });

        Assert.Throws<OperationCanceledException>(() =>
            AtomicFolder.Replace(folder["model"], partial => HfExport.Save(source, partial, [first], stop: stop.Token)));
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public void The_ids_of_samples_are_known_without_reading_them_again()
    {
        var data = runs.Spec.Data with { Train = runs.TextOnly() };
        using var rows = DataSplit.OpenTraining(data);
        var ids = Enumerable.Range(0, rows.Count).Select(i => rows.Read(i).Id).ToList();

        File.WriteAllText(data.Train, "");

        Assert.Throws<InputException>(() => rows.Read(0));
        Assert.Equal(ids, Enumerable.Range(0, rows.Count).Select(rows.IdOf));
    }
}
