using Phi3VCluster.Spec;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Tests.Data;

public sealed class DataSplitTests : IDisposable
{
    private const string Bad = """{"id": "bad", "conversations": [{"user": null, "assistant": "a"}]}""";

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-split-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Held_out_rows_are_the_first_over_all_files_of_a_glob()
    {
        Write("a.jsonl", Rows(0, 3));
        Write("b.jsonl", Rows(3, 6));
        var spec = new DataSpec { Train = Path.Combine(_folder, "*.jsonl"), EvalRows = 4 };

        Assert.Equal("4 5 6 7 8", Training(spec));
        Assert.Equal("0 1 2 3", Evaluation(spec));
        Assert.Equal("0 1 2 3", Evaluation(spec with { Eval = spec.Train }));
    }

    [Fact]
    public void Drawn_rows_are_held_out_by_the_seed_alone_and_the_rest_trains()
    {
        Write("a.jsonl", Rows(0, 60));
        Write("b.jsonl", Rows(60, 40));
        var spec = new DataSpec { Train = Path.Combine(_folder, "*.jsonl"), EvalRows = 20, EvalSplit = "random" };

        var held = Evaluation(spec, seed: 1)!.Split(' ').Select(int.Parse).ToList();
        var trained = Training(spec, seed: 1).Split(' ').Select(int.Parse).ToList();

        Assert.Equal(Enumerable.Range(0, 100), held.Concat(trained).Order());
        Assert.Equal(20, held.Count);
        Assert.Equal(held.Order(), held);
        Assert.Equal(trained.Order(), trained);
        Assert.NotEqual(Enumerable.Range(0, 20), held);
        Assert.NotEqual(Evaluation(spec, seed: 2), Evaluation(spec, seed: 1));
        Assert.Equal("0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19", Evaluation(spec with { EvalSplit = "first" }, seed: 1));
    }

    [Fact]
    public void Evaluation_on_rows_that_train_is_known()
    {
        var (train, eval) = (Write("a.jsonl", Rows(0, 3)), Write("b.jsonl", Rows(3, 2)));

        Assert.True(DataSplit.EvaluatesOnTrainingRows(new() { Train = train, Eval = train }));
        Assert.True(DataSplit.EvaluatesOnTrainingRows(new() { Train = train, Eval = Path.Combine(_folder, "*.jsonl") }));
        Assert.True(DataSplit.EvaluatesOnTrainingRows(new() { Train = train, Eval = Path.Combine(_folder, ".", "a.jsonl") }));
        Assert.False(DataSplit.EvaluatesOnTrainingRows(new() { Train = train, Eval = train, EvalRows = 1 }));
        Assert.False(DataSplit.EvaluatesOnTrainingRows(new() { Train = train, Eval = eval }));
        Assert.False(DataSplit.EvaluatesOnTrainingRows(new() { Train = train }));
    }

    [Fact]
    public void Rows_without_an_image_are_counted()
    {
        File.WriteAllBytes(Path.Combine(_folder, "p.png"), [1]);
        var withImage = """{"conversations": [{"images": ["p.png"], "user": "u", "assistant": "a"}, {"user": "u", "assistant": "a"}]}""";
        var path = Write("a.jsonl", [.. Rows(0, 3), withImage]);

        using var rows = DataSplit.OpenTraining(new() { Train = path });

        Assert.Equal((4, 3), (rows.Count, rows.Remarks.WithoutImages));
    }

    [Fact]
    public void Without_held_out_rows_or_with_files_of_their_own_all_rows_are_taken()
    {
        var (train, eval) = (Write("a.jsonl", Rows(0, 3)), Write("b.jsonl", Rows(3, 2)));

        Assert.Equal(("0 1 2", null), (Training(new() { Train = train }), Evaluation(new() { Train = train })));
        var both = new DataSpec { Train = train, Eval = eval, EvalRows = 1 };
        Assert.Equal(("0 1 2", "3 4"), (Training(both), Evaluation(both)));
        var same = new DataSpec { Train = train, Eval = train };
        Assert.Equal(("0 1 2", "0 1 2"), (Training(same), Evaluation(same)));
        Assert.Equal("0", Evaluation(new() { Eval = train, EvalRows = 1 }));
    }

    [Fact]
    public void Held_out_files_may_have_a_form_of_their_own()
    {
        var (train, eval) = (WriteCauldron(3), Write("eval.jsonl", Rows(7, 2)));

        var spec = new DataSpec { Kind = "cauldron-docvqa", Train = train, Eval = eval, EvalKind = "conversations" };

        Assert.Equal(("0 1 2", "7 8"), (Training(spec), Evaluation(spec)));
    }

    [Theory]
    [InlineData("hateful-memes")]
    [InlineData("nlvr2")]
    public void The_recipes_yes_or_no_datasets_hold_500_rows_out(string kind)
    {
        var path = WriteCauldron(502);

        Assert.Equal("500 501", Training(new() { Kind = kind, Train = path }));
        Assert.Equal(500, Evaluation(new() { Kind = kind, Train = path })!.Split(' ').Length);
        Assert.Equal(500, Evaluation(new() { Kind = kind, Eval = path })!.Split(' ').Length);
        Assert.Null(Evaluation(new() { Kind = kind, Train = path, EvalRows = 0 }));
        var few = WriteCauldron(14);
        Assert.Contains("14 rows and the first 500 evaluate",
            Assert.Throws<InputException>(() => Training(new() { Kind = kind, Train = few })).Message);
    }

    [Fact]
    public void Evaluation_asks_the_first_of_separate_questions_and_of_alternatives_and_training_keeps_them_all()
    {
        var path = WriteCauldron(1, texts: 3);
        foreach (var kind in new[] { "nlvr2", "cauldron-docvqa" })
        {
            var spec = new DataSpec { Kind = kind, Train = path, Eval = path, EvalRows = 0 };
            using var training = DataSplit.OpenTraining(spec);
            using var evaluation = DataSplit.OpenEvaluation(spec)!;
            Assert.Equal(3, training.Read(0).Turns.Count);
            Assert.Equal("q0", evaluation.Read(0).Turns.Single().User);
            Assert.Single(evaluation.Read(0).Turns[0].Images);
        }
    }

    [Fact]
    public void One_bad_row_fails_the_run_before_it_starts_and_all_are_listed()
    {
        var path = Write("a.jsonl", [.. Rows(0, 300), Bad, .. Rows(300, 300), Bad]);

        var problems = Assert.Throws<InputException>(() => Training(new() { Train = path })).Problems;

        Assert.Equal([$"{path}:301: turn 1: user is null; write a text.", $"{path}:602: turn 1: user is null; write a text.",
            $"data.train: {path}: 2 of 602 rows are bad; mend them, or set data.onBadSample to skip if they are few."], problems);
    }

    [Fact]
    public void Few_bad_rows_may_be_skipped_and_the_others_keep_their_order()
    {
        var path = Write("a.jsonl", [.. Rows(0, 100), Bad, .. Rows(100, 99)]);
        var spec = new DataSpec { Train = path, OnBadSample = "skip", EvalRows = 60 };

        using var rows = DataSplit.OpenTraining(spec with { EvalRows = 0 });
        Assert.Equal(Enumerable.Range(0, 199).Select(i => $"{i}"), Enumerable.Range(0, rows.Count).Select(i => rows.Read(i).Id));
        Assert.Equal([$"{path}:101: turn 1: user is null; write a text."], rows.SkippedRows);
        Assert.Equal(139, Training(spec).Split(' ').Length);
        Assert.Equal(60, Evaluation(spec)!.Split(' ').Length);
    }

    [Fact]
    public void More_than_one_percent_of_bad_rows_is_never_skipped()
    {
        var path = Write("a.jsonl", [.. Rows(0, 198), Bad, Bad, Bad]);

        var problems = Assert.Throws<InputException>(() => Training(new() { Train = path, OnBadSample = "skip" })).Problems;

        Assert.Equal(
            $"data.train: {path}: 3 of 201 rows are bad; data.onBadSample skips 1 % of them at most, mend the others.", problems[^1]);
        Assert.StartsWith($"{path}:199: ", problems[0]);
    }

    [Fact]
    public void Ranks_of_a_node_share_what_is_open_until_the_last_is_done_and_never_what_has_changed()
    {
        var path = Write("a.jsonl", Rows(0, 2));
        var spec = new DataSpec { Train = path };
        var first = DataSplit.OpenTraining(spec);
        var second = DataSplit.OpenTraining(spec);
        Assert.Same(first.Shared, second.Shared);

        first.Dispose();
        first.Dispose();
        Assert.Equal("1", second.Read(1).Id);
        Write("a.jsonl", Rows(5, 9));
        Assert.Equal("5 6 7 8 9 10 11 12 13", Training(spec));
        second.Dispose();

        Assert.ThrowsAny<InputException>(() => Training(new() { Train = Write("c.jsonl", [Bad]) }));
        Assert.Equal("0", Training(new() { Train = Write("c.jsonl", Rows(0, 1)) }));
    }

    [Fact]
    public void Opening_many_rows_can_be_stopped()
    {
        using var stop = new CancellationTokenSource();
        stop.Cancel();

        Assert.ThrowsAny<OperationCanceledException>(
            () => DataSplit.OpenTraining(new() { Train = Write("a.jsonl", Rows(0, 2)) }, stop.Token));
    }

    private static string Training(DataSpec spec, int seed = 0)
    {
        using var rows = DataSplit.OpenTraining(spec, seed: seed);
        return Ids(rows);
    }

    private static string? Evaluation(DataSpec spec, int seed = 0)
    {
        using var rows = DataSplit.OpenEvaluation(spec, seed: seed);
        return rows is null ? null : Ids(rows);
    }

    private static string Ids(SplitRows rows) =>
        string.Join(' ', Enumerable.Range(0, rows.Count).Select(i => rows.Read(i).Id.Split(':')[^1]));

    private static IEnumerable<string> Rows(int first, int count) => Enumerable.Range(first, count)
        .Select(i => $$"""{"id": "{{i}}", "conversations": [{"user": "u", "assistant": "a"}]}""");

    private string Write(string name, IEnumerable<string> lines)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllLines(path, lines);
        return path;
    }

    private string WriteCauldron(int rows, int texts = 1)
    {
        var each = Enumerable.Range(0, rows).ToList();
        var questions = Enumerable.Range(0, texts).ToList();
        return SmallParquet.Write(Path.Combine(_folder, $"{rows}.parquet"), groupRows: 100,
            ("images", SmallParquet.Lists([.. each.Select(_ => new SmallImage[] { new([1]) })], SmallParquet.Images)),
            ("texts", SmallParquet.Lists<int>([.. each.Select(_ => questions)], all => SmallParquet.Struct(all.Select(_ => true),
                ("user", SmallParquet.Texts(all.Select(i => $"q{i}"))), ("assistant", SmallParquet.Texts(all.Select(i => $"a{i}")))))));
    }
}
