using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>Pages that were never drawn: random pixels and tokens, the same in every process.</summary>
internal static class SyntheticPages
{
    private const int Ignored = -100, FirstId = 3;

    /// <summary>As DocVQA's pages are: 2,443 tokens on average, one page in four of letter size and three a little narrower.</summary>
    /// <param name="count">A multiple of four keeps the mean.</param>
    public static IReadOnlyList<EncodedSample> LikeDocVqa(int count, int vocabulary)
    {
        var text = new PageText(5, 20, 8);
        EncodedSample[] kinds = [.. Enumerable.Range(0, Math.Min(count, 4)).Select(index =>
            index == 0 ? Make("0", vocabulary, rows: 4, columns: 4, text) : Make($"{index}", vocabulary, rows: 5, columns: 3, text))];
        return [.. Enumerable.Range(0, count).Select(index => kinds[index % kinds.Length] with { Id = $"{index}" })];
    }

    /// <summary>A page of <paramref name="rows"/> × <paramref name="columns"/> tiles.</summary>
    public static EncodedSample Make(string id, int vocabulary, int rows, int columns, PageText page)
    {
        var random = SplitMix64.For("step", seed: 1, epoch: 0, id);
        var imageTokens = (rows * columns + 1) * 144 + 1 + (rows + 1) * 12;
        var text = new long[page.Before + page.After + page.Answer];
        for (var i = 0; i < text.Length; i++) text[i] = FirstId + random.Below(vocabulary - FirstId);
        long[] ids = [.. text[..page.Before], .. Enumerable.Repeat(-1L, imageTokens), .. text[page.Before..]];
        long[] labels = [.. Enumerable.Repeat((long)Ignored, ids.Length - page.Answer), .. text[^page.Answer..]];
        var (height, width) = (rows * EncodedImage.CropSize, columns * EncodedImage.CropSize);
        var pixels = new ulong[height * width * 3 / sizeof(ulong)];
        for (var i = 0; i < pixels.Length; i++) pixels[i] = random.Next();
        return new(id, ids, labels, [new(MemoryMarshal.AsBytes<ulong>(pixels).ToArray(), height, width, imageTokens)]);
    }
}

/// <summary>Tokens of the question before and after the image, and of the answer.</summary>
internal sealed record PageText(int Before = 5, int After = 20, int Answer = 6);
