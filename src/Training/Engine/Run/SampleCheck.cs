using Phi3VCluster.Spec;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Processing;
using Phi3VConfig = Phi3VCluster.Training.Model.Phi3VConfig;

namespace Phi3VCluster.Training.Engine;

/// <summary>Whether a sample can be used by a model: its images can be read, and it is no longer than the context. Thread-safe.</summary>
/// <param name="numCrops">Most crops of an image.</param>
/// <param name="maxTokens">The model's context.</param>
/// <param name="decodes">Decode every image; else its header is read, which does not show whether it is whole.</param>
internal sealed class SampleCheck(SampleMeasure measure, int numCrops, int maxTokens, bool decodes)
{
    /// <summary>The check of a run's rows.</summary>
    /// <param name="tokenizer">The one of the folder, whose config.json says how many tokens the weights know.</param>
    public static RowCheck Of(string modelFolder, Tokenizer tokenizer, int numCrops, int maxTokens, bool decodes)
    {
        var check = new SampleCheck(new(tokenizer, Phi3VConfig.Read(modelFolder).VocabularySize), numCrops, maxTokens, decodes);
        return new($"{modelFolder} {numCrops} {maxTokens} {decodes}", sample => check.Look(sample).Problems);
    }

    public SampleLook Look(Sample sample)
    {
        var (images, problems) = (new Dictionary<string, ImageLook>(), new List<string>());
        foreach (var image in sample.Turns.SelectMany(turn => turn.Images).DistinctBy(image => image.Description))
            Try(problems, () => images.Add(image.Description, Look(image)));
        var tokens = 0;
        if (problems.Count == 0) Try(problems, () => tokens = Measure(sample, images, problems));
        return new([.. images.Values], tokens, problems);
    }

    private int Measure(Sample sample, Dictionary<string, ImageLook> images, List<string> problems)
    {
        int TokensOf(IImageSource image) => images[image.Description].Layout.TokenCount;
        var trained = measure.ForTraining(sample, TokensOf);
        var longest = Math.Max(trained, measure.ForEvaluation(sample, TokensOf));
        if (longest > maxTokens)
            problems.Add(SampleEncoder.TooLong(longest, maxTokens, images.Values.Sum(image => image.Layout.TokenCount), images.Count));
        return trained;
    }

    private ImageLook Look(IImageSource image)
    {
        var (width, height) = decodes
            ? SizeOf(ImageDecoder.Decode(image.Read(), image.Description, image.IsTurnedUpright))
            : ImageDecoder.ReadSize(image);
        return new(width, height, ImageLayout.For(width, height, numCrops, image.Description));
    }

    private static (int Width, int Height) SizeOf(RgbxImage image) => (image.Width, image.Height);

    private static void Try(List<string> problems, Action look)
    {
        try
        {
            look();
        }
        catch (InputException error)
        {
            problems.AddRange(error.Problems);
        }
    }
}

/// <summary>What a look at a sample showed.</summary>
/// <param name="Images">Each once.</param>
/// <param name="Tokens">When trained, with the longest answers; 0 where an image is bad.</param>
/// <param name="Problems">Why it cannot be used.</param>
internal sealed record SampleLook(IReadOnlyList<ImageLook> Images, int Tokens, IReadOnlyList<string> Problems);

/// <summary>An image's size, upright, and what the processor makes of it.</summary>
internal sealed record ImageLook(int Width, int Height, ImageLayout Layout);
