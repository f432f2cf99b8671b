using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Tests.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Checkpoints;

public sealed class CheckpointFolderTests
{
    [Theory]
    [InlineData(1 << 20, 1)]
    [InlineData(50, 3)]
    public void An_export_without_changes_holds_the_same_bytes(long shardBytes, int shards)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var source = Source(folder["source"]);

        HfExport.Save(source, folder["target"], [], shardBytes);

        using var target = CheckpointFolder.Open(folder["target"]);
        Assert.Equal(shards, Directory.EnumerateFiles(folder["target"], "*.safetensors").Count());
        AssertSameBytes(source, target);
        Assert.Equal("{}", File.ReadAllText(Path.Combine(folder["target"], "config.json")));
    }

    [Fact]
    public void A_changed_tensor_is_stored_in_its_own_type_and_its_tied_twin_follows()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var source = Source(folder["source"]);
        var changed = full([4, 5], 2.5f);

        HfExport.Save(source, folder["target"], [StoredTensor.Of(CheckpointFolder.Embedding, changed)]);

        using var target = CheckpointFolder.Open(folder["target"]);
        foreach (var name in (string[])[CheckpointFolder.Embedding, CheckpointFolder.TiedEmbedding])
        {
            var got = zeros(4, 5);
            target.CopyTo(name, got);
            Assert.Equal(ScalarType.Float32, target.Type(name));
            Assert.True(got.eq(changed).all().item<bool>(), name);
        }
    }

    [Fact]
    public void A_tensor_is_converted_into_a_view_of_a_larger_one()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var source = Source(folder["source"]);
        var flat = zeros(30);

        source.CopyTo(CheckpointFolder.Embedding, flat.narrow(0, 5, 20).view(4, 5));

        float[] around = [0, 0, 0, 0, 0];
        Assert.Equal([.. around, .. Enumerable.Range(0, 20).Select(i => (float)i), .. around], flat.data<float>().ToArray());
    }

    [Fact]
    public void Missing_unknown_and_misshapen_tensors_are_all_listed()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var source = Source(folder["source"]);
        TensorInfo[] expected = [new(CheckpointFolder.Embedding, [4, 6]), new("absent", [1]), new("optional", [1])];

        var problems = Assert.Throws<InputException>(() => source.Check(expected, name => name == "optional")).Problems;

        Assert.Equal(4, problems.Count); // the embedding, its twin, absent, and the unknown "norm"
        Assert.Contains(problems, p => p.Contains("absent is missing", StringComparison.Ordinal));
        Assert.Contains(problems, p => p.Contains("norm is not part of the model", StringComparison.Ordinal));
        Assert.Contains(problems, p => p.Contains($"{CheckpointFolder.Embedding} must be [4, 6], got [4, 5]", StringComparison.Ordinal));
        source.Check([new(CheckpointFolder.Embedding, [4, 5]), new("norm", [3])], _ => false);
    }

    [Theory]
    [InlineData("pytorch_model.bin", "pickle")]
    [InlineData("notes.txt", "neither")]
    [InlineData("model.safetensors.index.json", "weight_map")]
    public void A_folder_without_safetensors_is_refused(string file, string reason)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder[file], """{"weight_map":{"a":"../../etc/passwd"}}""");
        Assert.Contains(reason, Assert.Throws<InputException>(() => CheckpointFolder.Open(folder.Path)).Message);
    }

    [Fact]
    public void All_shards_are_looked_at_before_anything_is_said()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        SafeTensorsWriter.Write(folder["1.safetensors"], [("a", ones(2))]);
        File.WriteAllBytes(folder["2.safetensors"], File.ReadAllBytes(folder["1.safetensors"])[..^3]);
        File.WriteAllText(folder["model.safetensors.index.json"],
            """{"weight_map":{"a":"1.safetensors","absent":"1.safetensors","b":"2.safetensors","c":"3.safetensors","d":"4.bin"}}""");

        var problems = Assert.Throws<InputException>(() => CheckpointFolder.Open(folder.Path)).Problems;

        Assert.Equal(4, problems.Count);
        Assert.Contains(problems, p => p.Contains("absent is missing", StringComparison.Ordinal));
        Assert.Contains(problems,
            p => p.Contains("2.safetensors: a: bytes 0 to 8 are not within the file's 5 bytes", StringComparison.Ordinal));
        Assert.Contains(problems, p => p.Contains("3.safetensors: cannot be read", StringComparison.Ordinal));
        Assert.Contains(problems, p => p.Contains("4.bin: is a pickle", StringComparison.Ordinal));
    }

    [Fact]
    public void A_file_that_shrinks_while_it_is_open_is_refused_when_it_is_read()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var source = Source(folder["source"]);
        // By another program: .NET's own locks would keep this one from it.
        using (var other = Process.Start("truncate", ["--size=-40", Path.Combine(folder["source"], "model.safetensors")]))
            other.WaitForExit();

        Assert.Contains("shorter", Assert.Throws<InputException>(() =>
        {
            foreach (var name in source.Names) source.CopyTo(name, zeros(source.Info(name).Shape));
        }).Message);
    }

    private static CheckpointFolder Source(string path)
    {
        Directory.CreateDirectory(path);
        var embedding = arange(20, ScalarType.Float32).view(4, 5).to(ScalarType.BFloat16);
        SafeTensorsWriter.Write(Path.Combine(path, "model.safetensors"),
        [
            (CheckpointFolder.Embedding, embedding),
            (CheckpointFolder.TiedEmbedding, embedding),
            ("norm", arange(25, 28, 1, ScalarType.Float32)),
        ]);
        File.WriteAllText(Path.Combine(path, "config.json"), "{}");
        return CheckpointFolder.Open(path);
    }

    internal static void AssertSameBytes(CheckpointFolder expected, CheckpointFolder actual)
    {
        Assert.Equal(expected.Names.Order(), actual.Names.Order());
        foreach (var name in expected.Names)
        {
            using var scope = NewDisposeScope();
            var (a, b) = (expected.View(name), actual.View(name));
            Assert.Equal(a.dtype, b.dtype);
            Assert.Equal(a.shape, b.shape);
            Assert.True(a.clone().bytes.SequenceEqual(b.clone().bytes), name);
        }
    }
}
