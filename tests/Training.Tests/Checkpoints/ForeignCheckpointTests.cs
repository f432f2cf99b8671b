using System.Text;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Checkpoints;

/// <summary>Checkpoint folders as people have them: something else in the weights' place, foreign names, two sets of weights.</summary>
public sealed class ForeignCheckpointTests : IDisposable
{
    private const int Layers = 40;

    private readonly TemporaryFolder _folder = new();

    private static IReadOnlyList<TensorInfo> Expected { get; } =
    [
        new("model.embed_tokens.weight", [4, 2]),
        .. Enumerable.Range(0, Layers).Select(i => new TensorInfo($"model.layers.{i}.mlp.down_proj.weight", [2, 2])),
        new("model.norm.weight", [2]), new("lm_head.weight", [4, 2]),
    ];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4962\n", "git lfs pull")]
    [InlineData("<!DOCTYPE html><html>", "HTML page")]
    [InlineData("\n <html lang=\"en\">", "HTML page")]
    [InlineData("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "XML")]
    [InlineData("PK\u0003\u0004archive/data.pkl", "zip archive")]
    [InlineData("GGUF\u0003\0\0\0\0\0\0\0", "GGUF")]
    [InlineData("%PDF-1.7\n%", "PDF")]
    [InlineData("../../blobs/4d7a9ce1", "symbolic link to ../../blobs/4d7a9ce1")]
    [InlineData("", "is empty")]
    [InlineData("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "unfinished download")]
    [InlineData("/annex/objects/SHA256E-s4962--4d7a.safetensors\n", "git annex get")]
    public void What_lies_in_the_weights_place_is_named(string content, string what)
    {
        File.WriteAllBytes(_folder["model.safetensors"], Encoding.Latin1.GetBytes(content));

        var problem = Assert.Single(Assert.Throws<InputException>(() => CheckpointFolder.Open(_folder.Path)).Problems);

        Assert.StartsWith(_folder["model.safetensors"], problem);
        Assert.Contains(what, problem);
    }

    [Theory]
    [InlineData("module.", "", "module.")]
    [InlineData("base_model.model.", "", "base_model.model.")]
    [InlineData("_orig_mod.", "", "_orig_mod.")]
    [InlineData("_fsdp_wrapped_module.model.", "model.", "_fsdp_wrapped_module.")]
    [InlineData("net.inner.", "", "net.inner.")]
    [InlineData("", "model.", "lack the model.")]
    public void Names_of_a_wrapper_are_one_problem_that_names_it(string put, string taken, string said)
    {
        Write("model.safetensors", name => put + (name.StartsWith(taken, StringComparison.Ordinal) ? name[taken.Length..] : name));

        Assert.Contains(said, Assert.Single(Refused()));
    }

    [Theory]
    [InlineData(".absmax")]
    [InlineData(".quant_map")]
    [InlineData(".SCB")]
    [InlineData(".weight_scale_inv")]
    public void Weights_that_are_quantised_already_are_one_problem(string beside)
    {
        using var scope = NewDisposeScope();
        SafeTensorsWriter.Write(_folder["model.safetensors"],
        [
            .. Expected.Select(info => (info.Name, zeros(info.ElementCount / 2, 1, dtype: ScalarType.Byte))),
            .. Expected.Select(info => (info.Name + beside, zeros(1))),
        ]);

        Assert.Contains("quantised already", Assert.Single(Refused()));
    }

    [Fact]
    public void No_list_is_longer_than_eight_lines()
    {
        Write("model.safetensors", name => "x" + name.Replace('.', '-'));
        Assert.Equal(8, Refused().Count);

        var whole = File.ReadAllBytes(_folder["model.safetensors"]);
        File.WriteAllBytes(_folder["model.safetensors"], whole[..^200]); // many tensors end behind it
        var cut = Assert.Throws<InputException>(() => CheckpointFolder.Open(_folder.Path)).Problems;
        Assert.Equal(8, cut.Count);
        Assert.Contains("more like these", cut[^1]);
    }

    [Fact]
    public void Of_two_sets_of_weights_the_single_file_is_read_and_that_is_told()
    {
        Write("model.safetensors", name => name, value: 1);
        Write("model-00001-of-00001.safetensors", name => name, value: 2);
        WriteIndex("model-00001-of-00001.safetensors");

        using var files = CheckpointFolder.Open(_folder.Path);

        Assert.Equal(1f, Value(files, "lm_head.weight"));
        Assert.Contains("two sets of weights; model.safetensors is read", Assert.Single(files.Notes));
    }

    [Fact]
    public void A_stale_index_beside_the_single_file_is_told()
    {
        Write("model.safetensors", name => name, value: 1);
        WriteIndex("model-00001-of-00002.safetensors");

        using var files = CheckpointFolder.Open(_folder.Path);

        files.Check(Expected, _ => false);
        Assert.Contains("is stale", Assert.Single(files.Notes));
    }

    [Fact]
    public void An_index_of_the_single_file_itself_is_no_second_set()
    {
        Write("model.safetensors", name => name);
        WriteIndex("model.safetensors");

        using var files = CheckpointFolder.Open(_folder.Path);

        Assert.Empty(files.Notes);
    }

    private IReadOnlyList<string> Refused()
    {
        using var files = CheckpointFolder.Open(_folder.Path);
        return Assert.Throws<InputException>(() => files.Check(Expected, _ => false)).Problems;
    }

    private void Write(string file, Func<string, string> rename, float value = 0)
    {
        using var scope = NewDisposeScope();
        SafeTensorsWriter.Write(_folder[file], Expected.Select(info => (rename(info.Name), full(info.Shape, value))));
    }

    private void WriteIndex(string file) => File.WriteAllText(_folder["model.safetensors.index.json"],
        $$"""{"weight_map": { {{string.Join(", ", Expected.Select(info => $"\"{info.Name}\": \"{file}\""))}} } }""");

    private static float Value(CheckpointFolder files, string name)
    {
        using var scope = NewDisposeScope();
        return files.View(name).mean().item<float>();
    }
}
