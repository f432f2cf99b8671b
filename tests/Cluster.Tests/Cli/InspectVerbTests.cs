using System.Buffers.Binary;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Samples;

namespace Phi3VCluster.Cluster.Tests.Cli;

/// <summary>inspect with a real silo, which it starts and stops.</summary>
public sealed class InspectVerbTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public InspectVerbTests()
    {
        var files = QuickstartFiles.Create(_cli.At("sample"), seed: 3, new SampleSizes(TrainPages: 5, EvalPages: 1, TinySizes.Smallest));
        File.AppendAllLines(files.Train, ["{\"id\": \"empty\"}"]);
    }

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task Json_has_what_is_relied_on_and_the_sheet_is_a_picture()
    {
        var found = await _cli.JsonAsync(0,
            "inspect", "conversations:sample/train.jsonl", "--model", "sample/model", "--sheet", "pages.png", "--pages", "5");

        Assert.Equal((6, 5), (found.GetProperty("rows").GetInt32(), found.GetProperty("images").GetInt32()));
        var bad = Assert.Single(found.GetProperty("bad").EnumerateArray());
        Assert.Equal((6, "conversations is missing, it has id; write a list of turns."),
            (bad.GetProperty("row").GetInt32(), bad.GetProperty("reason").GetString()));
        var tokens = found.GetProperty("tokens");
        int[] lengths = [.. ((string[])["min", "median", "p95", "max"]).Select(key => (int)tokens.GetProperty(key).GetDouble())];
        Assert.Equal(lengths.Order(), lengths);
        Assert.True(lengths[0] > 313);
        Assert.False(tokens.GetProperty("estimated").GetBoolean());
        var size = Assert.Single(found.GetProperty("image_sizes").EnumerateArray());
        Assert.Equal((336, 336, 5, 313), (size.GetProperty("width").GetInt32(), size.GetProperty("height").GetInt32(),
            size.GetProperty("count").GetInt32(), size.GetProperty("tokens").GetInt32()));
        Assert.Equal(_cli.At("pages.png"), found.GetProperty("sheet").GetString());
        Assert.Equal((16 + 4 * 464, 5), (PngWidth("pages.png"), found.GetProperty("pages").GetInt32()));
        Assert.Empty(Directory.GetFiles(_cli.Folder, "*.partial-*"));
    }

    [Fact]
    public async Task A_person_is_told_the_same_and_bad_rows_are_no_failure()
    {
        var result = await _cli.RunAsync("inspect", "conversations:sample/train.jsonl");

        Assert.True(result.ExitCode == 0, $"{result}");
        Assert.Contains("6 rows, 1 of them bad; 5 images, 20 questions, 20 answers", result.Stdout);
        Assert.Contains("(estimated; --model gives exact counts)", result.Stdout);
        Assert.Contains("train.jsonl:6: conversations is missing", result.Stdout);
        Assert.Contains($"5 pages with their crops → {_cli.At("inspect.png")}", result.Stdout);
        Assert.Equal(16 + 4 * 464, PngWidth("inspect.png"));
        var next = await _cli.RunAsync("inspect", "conversations:sample/train.jsonl", "--pages", "1");
        Assert.True(next.ExitCode == 0, $"a sheet gives way to the next: {next}");
        Assert.NotEqual(16 + 4 * 464, PngWidth("inspect.png"));
    }

    [Theory]
    [InlineData("KIND:PATH: must be KIND:PATH, got train.jsonl; write for example conversations:data/test.jsonl.", "train.jsonl")]
    [InlineData("KIND:PATH: no file matches, got {0}/none*.jsonl; give a file or a glob.", "conversations:none*.jsonl")]
    [InlineData("--sheet: there is no such folder, got {0}/none/a.png; make it or give another file.",
        "conversations:sample/train.jsonl", "--sheet", "none/a.png")]
    [InlineData("--sheet: is a folder, got {0}/sample; give a file.", "conversations:sample/train.jsonl", "--sheet", "sample")]
    [InlineData("--sheet: a sheet is a PNG file, got {0}/sample/train.jsonl; end its name with .png.",
        "conversations:sample/train.jsonl", "--sheet", "sample/train.jsonl")]
    [InlineData("--sheet: the file is there and is no sheet of `phi3v inspect`, got {0}/sample/train/page-0001.png; give another name.",
        "conversations:sample/train.jsonl", "--sheet", "sample/train/page-0001.png")]
    [InlineData("--sheet: /proc cannot be written to, got /proc/a.png; give a file elsewhere, or --pages 0 for no sheet.",
        "conversations:sample/train.jsonl", "--sheet", "/proc/a.png")]
    public async Task What_is_seen_to_be_wrong_starts_nothing(string message, params string[] arguments)
    {
        var silo = FakeSilo.ThatNeverGetsReady(_cli);

        var result = await _cli.RunAsync(["inspect", .. arguments]);

        Assert.Equal((2, "", $"phi3v: {message.Replace("{0}", _cli.Folder)}\n"), (result.ExitCode, result.Stdout, result.Stderr));
        Assert.False(silo.HasStarted);
    }

    private int PngWidth(string name)
    {
        var file = File.ReadAllBytes(_cli.At(name));
        Assert.True(file.AsSpan().StartsWith((byte[])[0x89, (byte)'P', (byte)'N', (byte)'G']));
        return BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(16));
    }
}
