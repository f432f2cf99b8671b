using Phi3VCluster.Spec;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Tests.Data;

/// <summary>Rows that a check refuses, and files that change while they are read.</summary>
public sealed class RowCheckTests : IDisposable
{
    private const string Broken = "is not good; mend it.";

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-check-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_a_check_refuses_is_bad_and_all_is_said_in_the_order_of_the_rows()
    {
        var path = Write("a.jsonl", Rows(0, 500));

        var problems = Assert.Throws<InputException>(() => Open(new() { Train = path }, Refusing("7", "3", "499"))).Problems;

        Assert.Equal([$"{path}:4: {Broken}", $"{path}:8: {Broken}", $"{path}:500: {Broken}",
            $"data.train: {path}: 3 of 500 rows are bad; mend them, or set data.onBadSample to skip if they are few."], problems);
    }

    [Fact]
    public void What_a_check_refuses_is_skipped_and_listed()
    {
        var path = Write("a.jsonl", Rows(0, 300));
        var spec = new DataSpec { Train = path, OnBadSample = "skip", EvalRows = 100 };

        using var training = DataSplit.OpenTraining(spec, check: Refusing("250"));
        using var evaluation = DataSplit.OpenEvaluation(spec, check: Refusing("50"))!;

        Assert.Equal([$"{path}:251: {Broken}"], training.SkippedRows);
        Assert.DoesNotContain("250", Ids(training));
        Assert.Equal([$"{path}:51: {Broken}"], evaluation.SkippedRows);
        Assert.Equal(99, Ids(evaluation).Count);
        Assert.Equal(new RowPlace(path, 252, IsLine: true), training.Place(150));
    }

    [Fact]
    public void Of_too_many_bad_rows_the_first_are_named()
    {
        var path = Write("a.jsonl", Rows(0, 1000));

        var problems = Assert.Throws<InputException>(() => Open(new() { Train = path }, new("all", _ => [Broken]))).Problems;

        Assert.Equal(Enumerable.Range(1, 3).Select(line => $"{path}:{line}: {Broken}"), problems.SkipLast(1));
        Assert.Contains("1000 of 1000 rows are bad, the 3 above and 997 more", problems[^1]);
    }

    [Fact]
    public void A_problem_that_names_its_row_is_not_named_twice()
    {
        var path = Write("a.jsonl", Rows(0, 1));
        var named = $"{path}:1: an image {Broken}";

        Assert.Equal(named, Assert.Throws<InputException>(() => Open(new() { Train = path }, new("named", _ => [named]))).Problems[0]);
    }

    [Fact]
    public void Only_ranks_with_the_same_check_share_what_is_open()
    {
        var spec = new DataSpec { Train = Write("a.jsonl", Rows(0, 9)) };
        using var first = DataSplit.OpenTraining(spec, check: Refusing());
        using var same = DataSplit.OpenTraining(spec, check: Refusing());

        Assert.Same(first.Shared, same.Shared);
        Assert.Throws<InputException>(() => Open(spec, Refusing("8")));
    }

    [Fact]
    public void What_breaks_on_one_of_the_threads_ends_the_scan_and_is_thrown_as_it_is() =>
        Assert.Equal("broken", Assert.Throws<IOException>(() => Open(new() { Train = Write("a.jsonl", Rows(0, 200)) },
            new("breaks", sample => sample.Id == "100" ? throw new IOException("broken") : []))).Message);

    [Fact]
    public void A_check_can_be_stopped()
    {
        using var stop = new CancellationTokenSource();
        var looked = 0;
        var check = new RowCheck("stops", _ =>
        {
            if (Interlocked.Increment(ref looked) == 10) stop.Cancel();
            return [];
        });

        Assert.ThrowsAny<OperationCanceledException>(
            () => DataSplit.OpenTraining(new() { Train = Write("a.jsonl", Rows(0, 5000)) }, stop.Token, check));
        Assert.InRange(looked, 10, 4999);
    }

    [Theory]
    [InlineData("conversations", false)]
    [InlineData("conversations", true)]
    [InlineData("llava", false)]
    [InlineData("llava", true)]
    public void A_data_file_that_is_written_to_while_it_is_used_is_named(string kind, bool sameLength)
    {
        var rows = Rows(0, 3).ToList();
        var llava = rows.ConvertAll(row => row.Replace(
            """{"user": "u", "assistant": "a"}""", """{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}"""));
        var file = Write("a.json", kind == "llava" ? [$"[{string.Join(",\n", llava)}]"] : rows);
        using var reader = Catalog<IDataset>.Find(kind, "data.kind").Open(new() { Train = file }, file);
        Assert.Equal("1", reader.Read(1).Id);

        var text = File.ReadAllText(file);
        File.WriteAllText(file, sameLength ? text.Replace("\"1\"", "\"9\"") : $" {text}");
        if (sameLength) File.SetLastWriteTimeUtc(file, DateTime.UtcNow.AddSeconds(5)); // clocks of file systems tick

        Assert.StartsWith($"{file}: was changed while it was in use", Assert.Throws<InputException>(() => reader.Read(1)).Message);
    }

    [Fact]
    public void A_data_file_that_is_replaced_is_read_as_it_was()
    {
        var file = Write("a.jsonl", Rows(0, 3));
        using var reader = Catalog<IDataset>.Find("conversations", "data.kind").Open(new() { Train = file }, file);

        File.Move(Write("new.jsonl", Rows(7, 9)), file, overwrite: true);

        Assert.Equal(["0", "1", "2"], Enumerable.Range(0, 3).Select(i => reader.Read(i).Id));
    }

    [Fact]
    public void An_image_file_that_vanishes_is_named()
    {
        var image = Path.Combine(_folder, "p.png");
        File.WriteAllBytes(image, [1]);
        var file = Write("a.jsonl", ["""{"conversations": [{"images": ["p.png"], "user": "u", "assistant": "a"}]}"""]);
        using var reader = Catalog<IDataset>.Find("conversations", "data.kind").Open(new() { Train = file }, file);
        var source = reader.Read(0).Turns[0].Images.Single();

        File.Delete(image);

        Assert.StartsWith($"{image}: cannot be read", Assert.Throws<InputException>(() => source.Read()).Message);
        Assert.StartsWith($"{image}: cannot be read", Assert.Throws<InputException>(() => source.ReadBeginning(10)).Message);
    }

    private static RowCheck Refusing(params string[] ids) => new(string.Join(' ', ids), sample => ids.Contains(sample.Id) ? [Broken] : []);

    private static void Open(DataSpec spec, RowCheck check) => DataSplit.OpenTraining(spec, check: check).Dispose();

    private static List<string> Ids(SplitRows rows) => [.. Enumerable.Range(0, rows.Count).Select(i => rows.Read(i).Id)];

    private static IEnumerable<string> Rows(int first, int count) => Enumerable.Range(first, count)
        .Select(i => $$"""{"id": "{{i}}", "conversations": [{"user": "u", "assistant": "a"}]}""");

    private string Write(string name, IEnumerable<string> lines)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllLines(path, lines);
        return path;
    }
}
