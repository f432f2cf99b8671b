using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// How many ids <see cref="SampleEncoder"/> would make of a sample, from its texts and what its images take: no picture is decoded for it.
/// Thread-safe.
/// </summary>
/// <param name="textTokens">Tokens of a text, without its BOS.</param>
public sealed class SampleMeasure(Func<string, int> textTokens)
{
    /// <param name="vocabulary">Rows of the model's weights: a token beyond them is refused.</param>
    public SampleMeasure(Tokenizer tokenizer, int vocabulary = int.MaxValue) : this(text =>
    {
        var ids = tokenizer.Encode(text, addBos: false);
        return tokenizer.BeyondWeights(ids, vocabulary) is { } problem ? throw new InputException($"{problem}.") : ids.Length;
    })
    { }

    /// <summary>With the longest answers, and of alternatives the longest: no draw gives more.</summary>
    /// <param name="imageTokens">Of one of the sample's images, once a tag.</param>
    /// <exception cref="InputException">The tags are wrong, or the model has no weights for a token.</exception>
    public int ForTraining(Sample sample, Func<IImageSource, int> imageTokens)
    {
        var turns = sample.Turns.Select((turn, number) =>
            Prompt(SampleEncoder.Alone(sample, turn, isFirst: number == 0), turn.Images, imageTokens)
            + turn.Answers.Max(answer => textTokens(answer + ChatTemplate.AnswerEnd)));
        return sample.Kind == SampleKind.Alternatives ? turns.Max() : turns.Sum();
    }

    /// <summary>The prompt of what evaluation asks, without room for the answer.</summary>
    /// <inheritdoc cref="ForTraining"/>
    public int ForEvaluation(Sample sample, Func<IImageSource, int> imageTokens)
    {
        var (prompt, images) = SampleEncoder.Chat(sample, sample.Kind == SampleKind.Conversation ? sample.Turns.Count - 1 : 0);
        return Prompt(prompt, images, imageTokens);
    }

    private int Prompt(TaggedPrompt prompt, IReadOnlyList<IImageSource> images, Func<IImageSource, int> imageTokens)
    {
        const int bos = 1; // before each piece of text
        var (text, tags) = prompt;
        if (ImageTags.Problem(tags, images.Count) is { } problem) throw new InputException(problem);
        var (tokens, done) = (0, 0);
        foreach (var (begin, end, image) in tags)
        {
            tokens += bos + textTokens(text[done..begin]) + imageTokens(images[image - 1]);
            done = end;
        }
        return tokens + bos + textTokens(text[done..]);
    }
}
