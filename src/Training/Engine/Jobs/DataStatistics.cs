using System.Runtime.InteropServices;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>Counts over the good rows of a dataset, of bounded size whatever the rows hold. Rows are added from several threads.</summary>
internal sealed class DataStatistics
{
    private const int MostSizes = 20, MostBins = 12, MostAnswers = 5; // that are shown
    private const int DistinctAnswers = 100_000, LongestCounted = 200; // characters: longer answers are hardly ever given twice

    private readonly Lock _gate = new();
    private readonly List<int> _tokens = [], _answerLengths = [];
    private readonly Dictionary<ImageLook, int> _sizes = [];
    private readonly Dictionary<string, int> _answers = [];
    private int _images, _questions;

    public void Add(Sample sample, SampleLook look)
    {
        lock (_gate)
        {
            _tokens.Add(look.Tokens);
            _images += look.Images.Count;
            _questions += sample.Turns.Count;
            foreach (var image in look.Images) Count(_sizes, image);
            foreach (var answer in sample.Turns.SelectMany(turn => turn.Answers)) Add(answer);
        }
    }

    /// <summary>When all are added.</summary>
    public GoodRows Result() => new()
    {
        Questions = _questions,
        Images = _images,
        Tokens = SpreadOf(_tokens),
        Histogram = Histogram(_tokens),
        ImageSizes = [.. _sizes
            .OrderByDescending(size => size.Value).ThenBy(size => size.Key.Width).ThenBy(size => size.Key.Height).Take(MostSizes)
            .Select(size => new ImageSizeCount(size.Key.Width, size.Key.Height, size.Value,
                size.Key.Layout.CropColumns, size.Key.Layout.CropRows, size.Key.Layout.TokenCount))],
        DistinctImageSizes = _sizes.Count,
        Answers = new(_answerLengths.Count, _answers.Count, SpreadOf(_answerLengths),
            [.. _answers.OrderByDescending(answer => answer.Value).ThenBy(answer => answer.Key, StringComparer.Ordinal).Take(MostAnswers)
                .Select(answer => new AnswerCount(answer.Key, answer.Value))]),
    };

    private void Add(string answer)
    {
        _answerLengths.Add(answer.Length);
        if (answer.Length <= LongestCounted && (_answers.Count < DistinctAnswers || _answers.ContainsKey(answer))) Count(_answers, answer);
    }

    private static void Count<T>(Dictionary<T, int> counts, T key) where T : notnull =>
        CollectionsMarshal.GetValueRefOrAddDefault(counts, key, out _)++;

    /// <summary>Sorts the numbers.</summary>
    private static Spread? SpreadOf(List<int> numbers)
    {
        if (numbers.Count == 0) return null;
        numbers.Sort();
        var (count, middle) = (numbers.Count, numbers[(numbers.Count - 1) / 2]);
        return new(numbers[0], (middle + (double)numbers[count / 2]) / 2, numbers[(int)Math.Ceiling(0.95 * count) - 1], numbers[^1]);
    }

    /// <summary>Bins of a round width.</summary>
    private static List<TokenBin> Histogram(List<int> sorted)
    {
        if (sorted.Count == 0) return [];
        var width = new[] { 1, 2, 5 }.SelectMany(digit => Enumerable.Range(0, 9).Select(power => digit * (int)Math.Pow(10, power)))
            .Order().First(step => sorted[^1] / step - sorted[0] / step < MostBins);
        return [.. Enumerable.Range(sorted[0] / width, sorted[^1] / width - sorted[0] / width + 1)
            .Select(bin => new TokenBin(bin * width, (bin + 1) * width - 1, sorted.Count(tokens => tokens / width == bin)))];
    }
}
