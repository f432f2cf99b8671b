using System.Text.RegularExpressions;
using Phi3VCluster.Client.Tests.Server;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Samples;

namespace Phi3VCluster.Client.Tests.Docs;

/// <summary>What <c>docs/tutorials/own-data.md</c> tells to type, typed: a hub on this machine has a small model.</summary>
public sealed partial class OwnDataTutorialTests : IAsyncLifetime
{
    private const int Pictures = 8;

    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(10); // five local silos on a machine that may be busy

    private readonly CliSandbox _cli = new();
    private readonly FakeHub _hub = new("microsoft/Phi-3-vision-128k-instruct");

    public OwnDataTutorialTests()
    {
        var made = QuickstartFiles.Create(_cli.At("made"), seed: 1, new(Pictures, 4, TinySizes.Smallest));
        foreach (var file in Directory.EnumerateFiles(made.Checkpoint))
            _hub.Add(Path.GetFileName(file), File.ReadAllBytes(file), large: file.EndsWith(".safetensors", StringComparison.Ordinal));
        Directory.CreateDirectory(_cli.At("scans"));
        var pages = Directory.EnumerateFiles(Path.Combine(Path.GetDirectoryName(made.Train)!, "train"), "*.png");
        foreach (var (page, i) in pages.Order(StringComparer.Ordinal).Select((page, i) => (page, i + 1)))
            File.Copy(page, _cli.At($"scans/{i}.png"));
        _cli.Set("HF_ENDPOINT", _hub.Address.AbsoluteUri);
        _cli.Set("HF_TOKEN", "");
        _cli.Set("HF_HOME", _cli.At("hf"));
        _cli.Set("PATH", $"{Path.GetDirectoryName(CliSandbox.Executable)}:{Environment.GetEnvironmentVariable("PATH")}");
    }

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        _cli.Dispose();
        await _hub.DisposeAsync();
    }

    [Fact]
    public async Task Everything_it_tells_to_type_works()
    {
        var text = File.ReadAllText(Checkout.At("docs/tutorials/own-data.md"));
        var blocks = Block().Matches(text).Select(match => match.Groups[1].Value).ToList();
        Assert.Equal(text.Split("```").Length / 2, blocks.Count); // no block is left out
        var script = _cli.Write("tutorial.sh", $"set -eux\n{string.Concat(blocks)}");

        await using var bash = _cli.StartOther("bash", script);
        var result = await bash.EndAsync(Timeout);

        Assert.True(result.ExitCode == 0, $"{result}");
        var run = Assert.Single(Directory.EnumerateDirectories(_cli.At("output")));
        string[] made =
        [
            _cli.At("sheet.png"), _cli.At("scans-model/model.safetensors"), _cli.At("scans-model/tokenizer.json"),
            .. ((string[])["adapter/adapter_model.safetensors", "eval-before.json", "report.json"]).Select(file => Path.Combine(run, file)),
        ];
        Assert.Equal([], made.Where(file => !File.Exists(file)));
        Assert.Contains("8 rows", result.Stdout);
        Assert.Contains(Path.GetFileName(run), result.Stdout);
    }

    [GeneratedRegex("```sh\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Block();
}
