using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Tests.Processing;

namespace Phi3VCluster.Training.Tests.Data;

[Trait("Category", "Parity")]
public sealed class DatasetParityTests
{
    [Fact]
    public void Every_row_is_read_or_refused_as_expected()
    {
        var expected = JsonDocument.Parse(File.ReadAllBytes(FixtureFolder.Path("data", "expected.json"))).RootElement.GetProperty("files");
        var (problems, rowCount) = (new List<string>(), 0);
        foreach (var file in expected.EnumerateObject())
        {
            // A layout is tried where a dataset of that name exists.
            if (Catalog<IDataset>.All.FirstOrDefault(d => d.Name == file.Value.GetProperty("layout").GetString()) is not { } dataset) continue;
            var spec = new DataSpec
            {
                ImageRoot = file.Value.TryGetProperty("images_relative_to", out var root) ? FixtureFolder.Path("data", root.GetString()!) : null,
            };
            using var reader = dataset.Open(spec, FixtureFolder.Path("data", file.Name));
            if (reader.Count != file.Value.GetProperty("num_rows").GetInt32()) problems.Add($"{file.Name}: {reader.Count} rows");
            foreach (var row in file.Value.GetProperty("rows").EnumerateArray())
            {
                rowCount++;
                if (Compare(reader, row) is { } problem) problems.Add($"{file.Name} row {row.GetProperty("row")}: {problem}");
            }
        }
        FixtureFolder.AssertNone(problems, rowCount);
    }

    /// <summary>Null when the row is as expected. Reading looks for images, decoding them shows whether they are whole.</summary>
    private static string? Compare(IDatasetReader reader, JsonElement row)
    {
        var good = row.GetProperty("ok").GetBoolean();
        try
        {
            var sample = reader.Read(row.GetProperty("row").GetInt32());
            foreach (var image in sample.Turns.SelectMany(turn => turn.Images)) ImageDecoder.Decode(image.Read(), image.Description);
            return good ? CompareSample(sample, row) : $"was not refused for {row.GetProperty("reason")}";
        }
        catch (InputException e)
        {
            return good ? e.Message : null;
        }
    }

    private static string? CompareSample(Sample sample, JsonElement row)
    {
        if (row.TryGetProperty("id", out var id) && id.GetString() != sample.Id) return $"id {sample.Id}";
        if (row.TryGetProperty("turns", out var turns))
            return turns.EnumerateArray().Count() != sample.Turns.Count ? $"{sample.Turns.Count} turns"
                : turns.EnumerateArray().Zip(sample.Turns, CompareTurn).FirstOrDefault(problem => problem is not null);
        var turn = sample.Turns.Single();
        return !turn.Answers.SequenceEqual(Texts(row.GetProperty("answers"))) ? $"answers {string.Join('|', turn.Answers)}"
            : SampleEncoder.Content(turn, 0) != Texts(row.GetProperty("prompts")).Single() ? $"prompt {SampleEncoder.Content(turn, 0)}"
            : CompareImages(turn, row);
    }

    private static string? CompareTurn(JsonElement expected, Turn turn) =>
        turn.User != expected.GetProperty("user").GetString() ? $"user {turn.User}"
        : turn.Answers.Single() != expected.GetProperty("assistant").GetString() ? $"assistant {turn.Answers[0]}"
        : expected.GetProperty("prompt").GetString() is { } prompt && prompt != SampleEncoder.Content(turn, 0) ? $"prompt {SampleEncoder.Content(turn, 0)}"
        : CompareImages(turn, expected);

    private static string? CompareImages(Turn turn, JsonElement expected)
    {
        var images = expected.GetProperty("images").EnumerateArray().ToList();
        if (images.Count != turn.Images.Count) return $"{turn.Images.Count} images";
        foreach (var (want, source) in images.Zip(turn.Images))
        {
            var file = source.Read();
            if (FixtureFolder.Sha256(file) != want.GetProperty("sha256").GetString()) return $"{source.Description}: other bytes";
            var image = ImageDecoder.Decode(file, source.Description);
            byte[] rgb = [.. image.Pixels.Where((_, i) => i % 4 != 3)];
            if (FixtureFolder.Sha256(rgb) != want.GetProperty("rgb_sha256").GetString()) return $"{source.Description}: other pixels";
        }
        return null;
    }

    private static IEnumerable<string?> Texts(JsonElement list) => list.EnumerateArray().Select(text => text.GetString());
}
