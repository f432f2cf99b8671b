using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Tests.Processing;

namespace Phi3VCluster.Training.Tests.Data;

[Trait("Category", "Parity")]
public sealed class DatasetParityTests
{
    /// <summary>The datasets that read a layout; where none is named, the one of the same name.</summary>
    private static readonly Dictionary<string, string[]> Kinds = new() { ["cauldron"] = ["cauldron-docvqa", "hateful-memes", "nlvr2"] };

    private static IEnumerable<(JsonProperty File, string Kind)> Cases() =>
        from file in JsonDocument.Parse(File.ReadAllBytes(FixtureFolder.Path("data", "expected.json"))).RootElement
            .GetProperty("files").EnumerateObject()
        let layout = file.Value.GetProperty("layout").GetString()!
        from kind in Kinds.GetValueOrDefault(layout, [layout])
        select (file, kind);

    [Fact]
    public void Every_row_is_read_or_refused_as_expected_in_every_order()
    {
        var (problems, rowCount) = (new List<string>(), 0);
        foreach (var (file, kind) in Cases())
        {
            using var reader = Open(kind, file);
            if (reader.Count != file.Value.GetProperty("num_rows").GetInt32()) problems.Add($"{file.Name} as {kind}: {reader.Count} rows");
            var rows = file.Value.GetProperty("rows").EnumerateArray().ToArray();
            SplitMix64.For("rows", 1, 0, file.Name).Shuffle<JsonElement>(rows);
            foreach (var row in rows)
            {
                rowCount++;
                if (Compare(reader, row) is { } problem)
                    problems.Add($"{file.Name} as {kind}, row {row.GetProperty("row")}: {problem}");
            }
            var good = rows.Count(IsGood);
            TestContext.Current.TestOutputHelper!.WriteLine($"{file.Name} as {kind}: {good} rows to read, {rows.Length - good} to refuse");
        }
        FixtureFolder.AssertNone(problems, rowCount);
    }

    [Fact]
    public void No_data_file_of_the_folder_is_left_out()
    {
        var there = Directory.EnumerateFiles(FixtureFolder.Path("data")).Select(path => Path.GetFileName(path)!)
            .Where(name => Path.GetExtension(name) is ".parquet" or ".json" or ".jsonl"
                && name is not ("expected.json" or "metrics.jsonl"));

        Assert.Equal(there.Order(), Cases().Select(one => one.File.Name).Distinct().Order());
    }

    [Fact]
    public void The_first_rows_evaluate_and_the_others_train()
    {
        var splits = Cases().Where(one => one.File.Value.TryGetProperty("split", out _)).ToList();
        foreach (var (file, kind) in splits)
        {
            var split = file.Value.GetProperty("split");
            var evalRows = split.GetProperty("eval_rows").GetInt32();
            var spec = Spec(kind, file) with { Train = FixtureFolder.Path("data", file.Name), EvalRows = evalRows };
            using var all = Open(kind, file);
            using var training = DataSplit.OpenTraining(spec);
            using var evaluation = DataSplit.OpenEvaluation(spec)!;
            Assert.Equal(Ids(all, split.GetProperty("train")), Enumerable.Range(0, training.Count).Select(i => training.Read(i).Id));
            Assert.Equal(Ids(all, split.GetProperty("eval")), Enumerable.Range(0, evaluation.Count).Select(i => evaluation.Read(i).Id));
        }
        Assert.NotEmpty(splits);
    }

    private static IEnumerable<string> Ids(IDatasetReader all, JsonElement rows) =>
        rows.EnumerateArray().Select(row => all.Read(row.GetInt32()).Id);

    private static IDatasetReader Open(string kind, JsonProperty file) =>
        Catalog<IDataset>.Find(kind, "data.kind").Open(Spec(kind, file), FixtureFolder.Path("data", file.Name));

    private static DataSpec Spec(string kind, JsonProperty file) => new()
    {
        Kind = kind,
        ImageRoot = file.Value.TryGetProperty("images_relative_to", out var root) ? FixtureFolder.Path("data", root.GetString()!) : null,
    };

    private static bool IsGood(JsonElement row) => row.GetProperty("ok").GetBoolean();

    /// <summary>Null when the row is as expected. Reading looks for images, decoding them shows whether they are whole.</summary>
    private static string? Compare(IDatasetReader reader, JsonElement row)
    {
        try
        {
            var sample = reader.Read(row.GetProperty("row").GetInt32());
            foreach (var image in sample.Turns.SelectMany(turn => turn.Images)) Decode(image);
            return IsGood(row) ? ExpectedSample.Compare(sample, row) : $"was not refused for {row.GetProperty("reason")}";
        }
        catch (InputException e)
        {
            return IsGood(row) ? e.Message : null;
        }
    }

    internal static RgbxImage Decode(IImageSource image) => ImageDecoder.Decode(image.Read(), image.Description, image.IsTurnedUpright);
}
