using System.Text.Json.Nodes;
using Phi3VCluster.Training.Checkpoints;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Checkpoints;

/// <summary>What an exported folder holds beside its weights: nothing that keeps transformers from loading it.</summary>
public sealed class ModelFilesTests : IDisposable
{
    private const string Config = """
        {
          "auto_map": {"AutoConfig": "configuration_phi3_v.Phi3VConfig", "AutoModelForCausalLM": "modeling_phi3_v.Phi3VForCausalLM"},
          "torch_dtype": "bfloat16", "dtype": "bfloat16", "vision_config": {"dtype": "bfloat16", "torch_dtype": "float16"}, "name": "ä"
        }
        """;

    private readonly TemporaryFolder _folder = new();

    public ModelFilesTests()
    {
        Directory.CreateDirectory(_folder["model"]);
        using var scope = NewDisposeScope();
        SafeTensorsWriter.Write(_folder["model/model.safetensors"], [("norm", ones(3, dtype: ScalarType.BFloat16))]);
        Write("config.json", Config);
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("image_processing_phi3_v.Phi3VImageProcessor", "microsoft/Phi-3-vision-128k-instruct")]
    [InlineData("processing_phi3_v.Phi3VImageProcessor", "microsoft/Phi-3.5-vision-instruct")]
    [InlineData("somebody/fork--processing_phi3_v.Phi3VImageProcessor", "somebody/fork")]
    public void Code_that_is_not_there_is_named_in_its_repository(string imageProcessor, string repository)
    {
        Write("preprocessor_config.json", $$"""{"auto_map": {"AutoImageProcessor": "{{imageProcessor}}"}, "num_crops": 16}""");

        var notes = Export();

        Assert.Equal($"{repository}--configuration_phi3_v.Phi3VConfig", (string?)Read("config.json")["auto_map"]!["AutoConfig"]);
        Assert.Equal($"{repository}--modeling_phi3_v.Phi3VForCausalLM", (string?)Read("config.json")["auto_map"]!["AutoModelForCausalLM"]);
        Assert.StartsWith($"{repository}--", (string?)Read("preprocessor_config.json")["auto_map"]!["AutoImageProcessor"]);
        Assert.Contains(repository, Assert.Single(notes));
    }

    [Fact]
    public void Unknown_code_that_is_not_there_is_dropped()
    {
        Write("config.json", """{"auto_map": {"AutoConfig": "my_code.MyConfig"}}""");
        Write("tokenizer_config.json", """{"auto_map": {"AutoTokenizer": ["my_tokens.Slow", null]}, "x": 1}""");

        Assert.Equal(2, Export().Count);

        Assert.Null(Read("config.json")["auto_map"]);
        Assert.Null(Read("tokenizer_config.json")["auto_map"]);
    }

    [Fact]
    public void Code_that_is_there_comes_along_with_what_it_imports()
    {
        Write("configuration_phi3_v.py", "x = 1");
        Write("modeling_phi3_v.py", "from .image_embedding_phi3_v import A\nfrom .configuration_phi3_v import B");
        Write("image_embedding_phi3_v.py", "import torch");
        Write("train.py", "import torch");

        Assert.Empty(Export());

        Assert.Equal(["configuration_phi3_v.py", "image_embedding_phi3_v.py", "modeling_phi3_v.py"],
            Directory.EnumerateFiles(_folder["out"], "*.py").Select(Path.GetFileName).Order());
        Assert.Equal("configuration_phi3_v.Phi3VConfig", (string?)Read("config.json")["auto_map"]!["AutoConfig"]);
    }

    [Fact]
    public void Nothing_is_copied_but_what_belongs_to_a_model()
    {
        string[] others =
        [
            "adapter_config.json", "adapter_model.safetensors", "trainer_state.json", "README.md", "training_args.bin", "all_results.json",
            "run.yaml",
        ];
        string[] own = ["tokenizer.json", "generation_config.json", "special_tokens_map.json", "LICENSE", "chat_template.jinja"];
        foreach (var file in (string[])[.. others, .. own]) Write(file, "{}");

        Export();

        Assert.Equal(((string[])["config.json", "model.safetensors", .. own]).Order(StringComparer.Ordinal),
            Directory.EnumerateFiles(_folder["out"]).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_key_that_names_a_type_is_true()
    {
        Export(ScalarType.Float32);

        var config = Read("config.json");
        foreach (var part in (JsonNode[])[config, config["vision_config"]!])
            foreach (var key in (string[])["dtype", "torch_dtype"]) Assert.Equal("float32", (string?)part[key]);
        Assert.Contains("ä", File.ReadAllText(_folder["out/config.json"]));
    }

    [Fact]
    public void The_crops_of_a_run_stand_in_the_model_and_beside_the_adapter()
    {
        Write("preprocessor_config.json", """{"num_crops": 16, "image_mean": [0.5]}""");

        Export(crops: 4);
        Directory.CreateDirectory(_folder["adapter"]);
        HfExport.SaveProcessor(_folder["model"], _folder["adapter"], 4);

        foreach (var folder in (string[])["out", "adapter"])
        {
            var processor = JsonNode.Parse(File.ReadAllText(_folder[$"{folder}/preprocessor_config.json"]))!;
            Assert.Equal((4, 0.5), ((int)processor["num_crops"]!, (double)processor["image_mean"]![0]!));
        }
    }

    private IReadOnlyList<string> Export(ScalarType? type = null, int? crops = null)
    {
        using var scope = NewDisposeScope();
        using var source = CheckpointFolder.Open(_folder["model"]);
        StoredTensor[] changed = type is { } stored ? [StoredTensor.Of("norm", ones(3, dtype: stored))] : [];
        HfExport.Save(source, _folder["out"], changed, numCrops: crops);
        return HfExport.PointToCode(_folder["out"]);
    }

    private void Write(string file, string text) => File.WriteAllText(_folder[$"model/{file}"], text);

    private JsonNode Read(string file) => JsonNode.Parse(File.ReadAllText(_folder[$"out/{file}"]))!;
}
