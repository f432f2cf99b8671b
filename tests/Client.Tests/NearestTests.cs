using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Client.Tests;

/// <summary>A mistyped word gets one sentence with the word that was meant.</summary>
public sealed class NearestTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Theory]
    [InlineData("there is no verb 'valdiate'; did you mean validate? See `phi3v --help`.", "valdiate", "x.yaml")]
    [InlineData("there is no verb 'drian'; did you mean drain? See `phi3v nodes --help`.", "nodes", "drian", "n1")]
    [InlineData("there is no option '--prcision'; did you mean --precision? See `phi3v generate --help`.",
        "generate", "--model", "m", "--prompt", "x", "--prcision=bf16")]
    [InlineData("--precision: unknown, got bf61; did you mean bf16?", "generate", "--model", ".", "--prompt", "x", "--precision", "bf61")]
    [InlineData("--dtype: unknown, got fp61; did you mean fp16?",
        "merge", "--model", ".", "--adapter", ".", "--to", "new", "--dtype", "fp61")]
    [InlineData("--data: unknown kind, got mesages; did you mean messages?", "eval", "--model", ".", "--data", "mesages:x.jsonl")]
    [InlineData("--metrics: unknown, got acuracy; did you mean accuracy?",
        "eval", "--model", ".", "--data", "messages:x.jsonl", "--metrics", "acuracy")]
    [InlineData("KIND:PATH: unknown kind, got lava; did you mean llava?", "inspect", "lava:x.jsonl")]
    [InlineData("KIND: must be model or dataset, got modle; did you mean model?", "download", "modle", "a/b")]
    [InlineData("precision: must be auto, fp32, bf16 or fp16, got fp61; did you mean fp16?",
        "submit", "quickstart", "--set", "precision=fp61")]
    [InlineData("cluster.colective: unknown key; did you mean cluster.collective?",
        "submit", "quickstart", "--set", "cluster.colective=tcp")]
    public async Task A_mistyped_word_gets_the_one_that_was_meant(string message, params string[] arguments)
    {
        var result = await _cli.RunAsync(arguments);

        Assert.Equal((2, ""), (result.ExitCode, result.Stdout));
        Assert.Equal($"phi3v: {message}", result.Stderr.Split('\n')[0]);
    }
}
