using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Checkpoints;

/// <summary>Adapter folders as other programs leave them.</summary>
public sealed class ForeignAdapterTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Names_that_still_hold_the_adapters_own_name_are_read(bool dora)
    {
        using var scope = NewDisposeScope();
        Save(dora, name => name.Replace(".weight", ".default.weight", StringComparison.Ordinal)
            .Replace("lora_magnitude_vector", "lora_magnitude_vector.default.weight", StringComparison.Ordinal));

        using var adapter = PeftAdapter.Load(_folder.Path);

        var modules = Enumerable.Range(0, 20).Select(i => $"model.layers.{i}.mlp.down_proj").Append("lm_head");
        Assert.Equal(modules.Order(), adapter.Modules.Order());
        var b = zeros(5, 2);
        adapter.CopyTo("lm_head.lora_B.weight", b);
        Assert.Equal(3f, b.mean().item<float>());
    }

    [Fact]
    public void Several_adapters_in_one_file_are_refused_by_their_names()
    {
        using var scope = NewDisposeScope();
        Save(dora: false, name => name.Replace(".weight", name[0] == 'l' ? ".one.weight" : ".two.weight", StringComparison.Ordinal));

        Assert.Contains("several adapters, got one, two", Assert.Single(Refused()));
    }

    [Fact]
    public void Whole_weights_among_the_adapters_are_a_list_of_at_most_eight()
    {
        using var scope = NewDisposeScope();
        Save(dora: false, name => name);
        using (var file = SafeTensorsFile.Open(_folder["adapter_model.safetensors"]))
        {
            SafeTensorsWriter.Write(_folder["more.safetensors"],
            [
                .. file.Names.Select(name => (name, file.View(name))),
                .. Enumerable.Range(0, 30).Select(i => ($"base_model.model.model.layers.{i}.input_layernorm.weight", ones(2))),
            ]);
        }
        File.Move(_folder["more.safetensors"], _folder["adapter_model.safetensors"], overwrite: true);

        var problems = Refused();

        Assert.Equal(8, problems.Count);
        Assert.Contains("input_layernorm.weight is not part of a LoRA adapter", problems[0]);
        Assert.Contains("23 more", problems[^1]);
    }

    [Theory]
    [InlineData("non_lora_trainables.bin")]
    [InlineData("non_lora_state_dict.bin")]
    [InlineData("mm_projector.bin")]
    [InlineData("projector.safetensors")]
    public void Weights_beside_the_adapter_that_nobody_reads_are_refused(string file)
    {
        using var scope = NewDisposeScope();
        Save(dora: false, name => name);
        File.WriteAllText(_folder[file], "weights");

        var problem = Assert.Single(Refused());

        Assert.StartsWith(_folder[file], problem);
        Assert.Contains("beside the adapter that are not read", problem);
    }

    [Theory]
    [InlineData("optimizer.pt")]
    [InlineData("scheduler.pt")]
    [InlineData("rng_state_0.pth")]
    [InlineData("training_args.bin")]
    [InlineData("adapter_model.bin")]
    public void What_a_trainer_keeps_for_itself_is_passed_over(string file)
    {
        using var scope = NewDisposeScope();
        Save(dora: false, name => name);
        File.WriteAllText(_folder[file], "state");

        using var adapter = PeftAdapter.Load(_folder.Path);

        Assert.Equal(21, adapter.Modules.Count);
    }

    [Theory]
    [InlineData("adapter_model.safetensors")]
    [InlineData("adapter_config.json")]
    public void A_git_lfs_pointer_in_its_place_is_named(string file)
    {
        using var scope = NewDisposeScope();
        Save(dora: false, name => name);
        File.WriteAllText(_folder[file], "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4962\n");

        Assert.Contains("git lfs pull", Assert.Single(Refused()));
    }

    private IReadOnlyList<string> Refused() => Assert.Throws<InputException>(() => PeftAdapter.Load(_folder.Path)).Problems;

    private void Save(bool dora, Func<string, string> rename)
    {
        string[] modules = ["lm_head", .. Enumerable.Range(0, 20).Select(i => $"model.layers.{i}.mlp.down_proj")];
        PeftAdapter.Save(_folder.Path, new(2, 8) { UsesDora = dora }, [.. modules.SelectMany(module => (IEnumerable<(string, Tensor)>)
        [
            (rename($"{module}.lora_A.weight"), ones(2, 3)), (rename($"{module}.lora_B.weight"), full([5, 2], 3f)),
            .. dora ? [(rename($"{module}.lora_magnitude_vector"), ones(5))] : ((string, Tensor)[])[],
        ])]);
    }
}
