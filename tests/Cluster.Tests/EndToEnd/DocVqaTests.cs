using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <summary>The recipe's own task on real photographs of documents, as stored by its publishers: parquet with images inside.</summary>
[Trait("Category", "Parity")]
public sealed class DocVqaTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task LoRA_on_parquet_pages_evaluates_before_and_after_and_writes_an_adapter()
    {
        var fixtures = Environment.GetEnvironmentVariable("PHI3V_FIXTURES") is { Length: > 0 } set
            ? set : Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../../../shared/fixtures"));
        if (!Directory.Exists(fixtures)) Assert.Skip($"no fixtures: PHI3V_FIXTURES is not a folder, got {fixtures}");
        var spec = _cli.Write("docvqa.yaml",
            $$"""
            name: docvqa-lora
            model: { path: {{fixtures}}/model/tiny, numCrops: 1 }
            method: { kind: lora, rank: 4, alpha: 8 }
            data: { kind: docvqa, train: {{fixtures}}/data/docvqa-mini-train.parquet, eval: {{fixtures}}/data/docvqa-mini-test.parquet }
            batch: { global: 8 }
            epochs: 1
            evaluation: { metric: anls, maxNewTokens: 8 }
            cluster: { minRanks: 2, maxRanks: 2, device: cpu }
            output: {{_cli.At("output")}}
            """);

        var answer = await _cli.JsonAsync(0, "submit", spec, "--wait");

        var folder = answer.GetProperty("output").GetString()!;
        Assert.InRange(answer.GetProperty("eval_before").GetDouble(), 0, 1);
        Assert.InRange(answer.GetProperty("eval_after").GetDouble(), 0, 1);
        foreach (var file in
            (string[])["adapter/adapter_model.safetensors", "adapter/adapter_config.json", "eval-before.json", "eval-after.json"])
            Assert.True(File.Exists(Path.Combine(folder, file)), $"there is no {file}");
        Assert.Empty(_cli.Processes());
        Assert.Empty(_cli.TemporaryFiles());
    }
}
