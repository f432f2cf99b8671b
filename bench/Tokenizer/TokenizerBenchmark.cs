using System.Diagnostics;
using System.Text;
using Phi3VCluster.Samples;
using Phi3VCluster.Training;

namespace Phi3VCluster.Bench.Tokenizer;

/// <summary>Text to ids on one core: the first text of a process, any later one, and one word without a space.</summary>
internal sealed class TokenizerBenchmark : IBenchmark
{
    private const int LongText = 4_000_000, LongWord = 244_000, Repetitions = 7;

    public string Name => "tokenizer";

    public string Description => "text to ids, one core: first pass, warm, and one long word; PHI3V_TOKENIZER=FOLDER for a real vocabulary";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        var folder = Environment.GetEnvironmentVariable("PHI3V_TOKENIZER");
        var own = folder is null ? Directory.CreateTempSubdirectory("phi3v-bench-").FullName : null;
        try
        {
            if (own is not null) TinyCheckpoint.Create(Path.Combine(own, "model"), seed: 1);
            var path = folder ?? Path.Combine(own!, "model");
            var note = folder is null ? "the quickstart's small vocabulary" : null;
            yield return Row(path, "long text, first pass of the process", Text(LongText, seed: 1), 1, note);
            yield return Row(path, "long text of words not met before", Text(LongText, seed: 2), 1, note);
            yield return Row(path, "long text, warm", Text(LongText, seed: 1), Repetitions, note);
            var word = Text(LongWord * 2, seed: 3).Replace(" ", "")[..LongWord];
            yield return Row(path, $"one word of {LongWord} letters", word, Repetitions, note);
        }
        finally
        {
            if (own is not null) Directory.Delete(own, recursive: true);
        }
    }

    private static BenchRow Row(string folder, string what, string text, int repetitions, string? note)
    {
        var tokenizer = Training.Processing.Tokenizer.Load(folder);
        var (best, count) = (double.MaxValue, 0);
        for (var i = 0; i < repetitions; i++)
        {
            var start = Stopwatch.GetTimestamp();
            count = tokenizer.Encode(text, addBos: true).Length;
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return new($"{what}, {count} tokens", count / best / 1e6, "M tokens/s") { Note = note };
    }

    /// <summary>Made-up words, the common ones often: two thirds are among a thousand, the rest are new.</summary>
    private static string Text(int length, ulong seed)
    {
        var random = new SplitMix64(seed);
        var common = Enumerable.Range(0, 1000).Select(_ => Word(random)).ToArray();
        var text = new StringBuilder(length + 32);
        while (text.Length < length) text.Append(random.Below(3) < 2 ? common[random.Below(common.Length)] : Word(random)).Append(' ');
        return text.ToString();
    }

    private static string Word(SplitMix64 random)
    {
        string[] syllables =
            ["an", "ber", "con", "der", "en", "for", "ing", "lo", "me", "ni", "or", "per", "re", "sta", "ter", "un", "ver", "y"];
        return string.Concat(Enumerable.Range(0, 1 + (int)random.Below(4)).Select(_ => syllables[random.Below(syllables.Length)]));
    }
}
