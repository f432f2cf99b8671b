using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Spec.Tests;

public sealed class MachineFitTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-fit-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_cannot_fit_is_refused_with_the_settings_that_would()
    {
        var problem = Assert.Single(MachineFit.MemoryProblems(new RunSpec(), ModelSizes.Released, ranks: 1, ranksHere: 1, 24_000_000_000));

        Assert.Equal("memory: a rank needs at least 66.1 GB for weights, gradients and moments, got a machine with 24.0 GB; "
            + "what fits: method.kind: lora, or method.kind: qlora, or method.kind: qlora with precision: bf16.", problem);
    }

    [Fact]
    public void An_absurd_rank_of_adapters_is_refused_with_the_usual_one()
    {
        var spec = new RunSpec { Method = new() { Kind = "lora", Rank = 100_000 } };

        Assert.Contains("what fits: method.rank: 32", Assert.Single(Problems(spec)));
        Assert.Empty(Problems(spec with { Method = spec.Method with { Rank = 8 } }));

        static IEnumerable<string> Problems(RunSpec spec) => MachineFit.MemoryProblems(spec, ModelSizes.Released, 1, 1, 24_000_000_000);
    }

    [Fact]
    public void Ranks_of_one_machine_share_its_memory()
    {
        var spec = new RunSpec { Method = new() { Kind = "lora" } };

        Assert.Empty(MachineFit.MemoryProblems(spec, ModelSizes.Released, 2, ranksHere: 1, 24_000_000_000));
        var problem = Assert.Single(MachineFit.MemoryProblems(spec, ModelSizes.Released, 2, ranksHere: 2, 24_000_000_000));
        Assert.StartsWith("memory: 2 ranks on this machine need at least ", problem);
        Assert.Contains("cluster.maxRanks: 1", problem);
    }

    [Fact]
    public void The_sizes_are_read_from_config_json_and_unreadable_ones_are_left_to_others()
    {
        Assert.Null(ModelSizes.Read(_folder));
        File.WriteAllText(Path.Combine(_folder, "config.json"), """{"hidden_size": "wide"}""");
        Assert.Null(ModelSizes.Read(_folder));
        File.WriteAllText(Path.Combine(_folder, "config.json"),
            """
            {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100,
             "vision_config": {"hidden_size": 32, "num_hidden_layers": 3}}
            """);

        Assert.Equal(new ModelSizes
        {
            Width = 64,
            Intermediate = 128,
            Layers = 2,
            Heads = 4,
            KeyValueHeads = 4,
            Vocabulary = 100,
            TowerWidth = 32,
            TowerLayers = 2,
        }, ModelSizes.Read(_folder));
    }

    [Fact]
    public void A_result_takes_the_room_of_its_adapters_or_of_the_whole_checkpoint()
    {
        File.WriteAllBytes(Path.Combine(_folder, "model-1.safetensors"), new byte[1000]);
        File.WriteAllBytes(Path.Combine(_folder, "model-2.safetensors"), new byte[234]);
        var lora = new RunSpec { Method = new() { Kind = "lora" } };

        Assert.Equal(1234, MachineFit.ResultBytes(new RunSpec(), ModelSizes.Released, _folder));
        Assert.Equal(4 * ModelSizes.Released.TrainedBy(lora.Method).Count, MachineFit.ResultBytes(lora, ModelSizes.Released, _folder));
        var many = lora with { Method = lora.Method with { Rank = 100_000_000 } };
        Assert.Null(MachineFit.DiskNeedOf(lora, ModelSizes.Released, steps: null).Problem(Path.Combine(_folder, "not", "yet")));
        Assert.StartsWith("output: the result needs ", MachineFit.DiskNeedOf(many, ModelSizes.Released, steps: null).Problem(_folder));
    }

    [Fact]
    public void Devices_are_no_data()
    {
        var spec = new RunSpec { Data = new() { Train = "/dev/zero" }, Output = _folder };

        Assert.Equal(
            ["data.train: is a device or a pipe, which cannot be read twice, got /dev/zero; give a file on disk."],
            RunSpecFiles.Problems(spec));
    }
}
