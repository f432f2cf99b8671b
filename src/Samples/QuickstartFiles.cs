using Phi3VCluster.Spec;

namespace Phi3VCluster.Samples;

/// <summary>How much is drawn, and how large the model is.</summary>
/// <param name="TrainPages">After 6 epochs of 800 pages every held-out page was read (ANLS 1.00) with eight of eight seeds.</param>
/// <param name="EvalPages">With 80 the guessing level of 0.125 shows as anything from 0.09 to 0.20.</param>
/// <param name="Model">Null: those the quickstart's recipe was measured with.</param>
public sealed record SampleSizes(int TrainPages = 800, int EvalPages = 160, TinySizes? Model = null);

/// <summary>
/// Everything a first run needs, made on the spot: an untrained Phi-3-Vision checkpoint of a quarter of a million parameters, and
/// pages with labelled fields for it to learn to read.
/// </summary>
/// <param name="Checkpoint">Hugging Face folder.</param>
/// <param name="Train">JSONL conversations: every page once, all four questions as turns.</param>
/// <param name="Eval">JSONL conversations of held-out pages, one question each, each field equally often.</param>
public sealed record QuickstartFiles(string Checkpoint, string Train, string Eval, int TrainPages, int EvalPages)
{
    private const string StampName = "made-from.json";

    /// <summary>
    /// Writes <c>model/</c>, <c>train.jsonl</c>, <c>eval.jsonl</c> and the pages' folders. The same seed and sizes give the same
    /// bytes; a folder that was made from them before is used as it is.
    /// </summary>
    /// <param name="tell">Told what an earlier process had left half drawn.</param>
    /// <exception cref="IOException">The folder holds something else.</exception>
    public static QuickstartFiles Create(string folder, int seed, SampleSizes? sizes = null, Action<string>? tell = null)
    {
        sizes ??= new();
        folder = Path.GetFullPath(folder);
        var stamp = Json.Text(new { Format = 1, Seed = seed, sizes.TrainPages, sizes.EvalPages, Model = sizes.Model ?? new() });
        var stampFile = Path.Combine(folder, StampName);
        if (!File.Exists(stampFile) || File.ReadAllText(stampFile) != stamp)
        {
            var left = AtomicFolder.Fill(folder, partial =>
            {
                TinyCheckpoint.Create(Path.Combine(partial, "model"), seed, sizes.Model);
                WritePages(partial, seed, sizes);
                File.WriteAllText(Path.Combine(partial, StampName), stamp);
            });
            foreach (var sentence in left) tell?.Invoke(sentence);
        }
        string At(string name) => Path.Combine(folder, name);
        return new(At("model"), At("train.jsonl"), At("eval.jsonl"), sizes.TrainPages, sizes.EvalPages);
    }

    private static void WritePages(string folder, int seed, SampleSizes sizes)
    {
        var seen = new HashSet<string>();
        var train = DistinctPages(sizes.TrainPages, new(seed, "training pages"), seen);
        var eval = DistinctPages(sizes.EvalPages, new(seed, "evaluation pages"), seen);

        // One order of questions per page: a model that is always asked in the same order answers by the order.
        var order = new RandomStream(seed, "order of questions");
        WriteSet(folder, "train", train, (page, _) => order.Shuffled(Field.All));
        WriteSet(folder, "eval", eval, (_, index) => [Field.All[index % Field.All.Count]]);
    }

    /// <summary>Pages that look like none in <paramref name="seen"/>: a held-out page must not have been trained on.</summary>
    private static List<Page> DistinctPages(int count, RandomStream random, HashSet<string> seen)
    {
        var pages = new List<Page>(count);
        while (pages.Count < count)
        {
            var page = Page.Draw(random);
            if (seen.Add(page.Fingerprint)) pages.Add(page);
        }
        return pages;
    }

    private static void WriteSet(string folder, string name, List<Page> pages, Func<Page, int, IReadOnlyList<Field>> questions)
    {
        Directory.CreateDirectory(Path.Combine(folder, name));
        string FileOf(int index) => $"{name}/page-{index:0000}.png"; // relative to the JSONL file
        Parallel.For(0, pages.Count, () => new PageImage(), (index, _, image) =>
        {
            image.WritePng(pages[index], Path.Combine(folder, FileOf(index)));
            return image;
        }, _ => { });
        Json.WriteLines(Path.Combine(folder, $"{name}.jsonl"), pages.Select((page, index) => new
        {
            id = $"{name}-{index:0000}",
            conversations = questions(page, index).Select((field, turn) => new
            {
                images = turn == 0 ? [FileOf(index)] : Array.Empty<string>(),
                user = field.Question,
                assistant = page.ValueOf(field),
            }),
        }));
    }
}
