using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>Samples to ids and pictures, as the model was fine-tuned by its authors. Thread-safe.</summary>
/// <param name="numCrops">Most crops of an image, the global one not counted.</param>
/// <param name="maxTokens">The model's context; a longer sample is refused, never cut.</param>
public sealed class SampleEncoder(Tokenizer tokenizer, int numCrops, int maxTokens)
{
    /// <summary>Label of a position that is not learned.</summary>
    public const long Ignored = -100;

    private readonly PromptEncoder _prompts = new(tokenizer);

    /// <summary>
    /// Every turn is a prompt of its own, images numbered from 1, followed by one of its answers; labels are the answers' ids. Which answer
    /// it is, and which turn of alternatives, is drawn by seed, epoch and sample.
    /// </summary>
    /// <exception cref="InputException">An image or the tags are wrong, or the sample is too long.</exception>
    public EncodedSample EncodeForTraining(Sample sample, int seed, int epoch)
    {
        var random = SplitMix64.For("answer", seed, epoch, sample.Id);
        return Label(
            sample, Drawn(sample, seed, epoch), turn => turn.Answers[random.Below(turn.Answers.Count)],
            sources => Encode(sources, sample.Id));
    }

    /// <summary>
    /// The prompt of one turn, the last unless <paramref name="turn"/> (from 0) says otherwise, after the turns before it as one chat with
    /// the first accepted answers; images are numbered through. No labels.
    /// </summary>
    /// <exception cref="InputException">An image or the tags are wrong, or the prompt is too long.</exception>
    public EncodedSample EncodeForEvaluation(Sample sample, int? turn = null) =>
        Ask(sample, turn ?? sample.Turns.Count - 1, sources => Encode(sources, sample.Id));

    /// <summary>
    /// What both the loss and the answer are computed from: all turns with their first accepted answers as labels, and the prompt of the
    /// last turn. The pictures, which take nearly all of the time, are encoded once for both.
    /// </summary>
    /// <exception cref="InputException">An image or the tags are wrong, or the sample is too long.</exception>
    public (EncodedSample Labelled, EncodedSample Prompt) EncodeForScoring(Sample sample)
    {
        var encoded = new Dictionary<IImageSource, EncodedImage>();
        List<EncodedImage> Once(IReadOnlyList<IImageSource> sources) =>
        [
            .. sources.Select(source =>
                encoded.TryGetValue(source, out var known) ? known : encoded[source] = Encode([source], sample.Id)[0]),
        ];
        return (Label(sample, sample.Turns, turn => turn.Answers[0], Once), Ask(sample, sample.Turns.Count - 1, Once));
    }

    /// <summary>A prompt that is already templated and holds its own image tags. No labels.</summary>
    /// <exception cref="InputException">An image or the tags are wrong, or the prompt is too long.</exception>
    public EncodedSample EncodePrompt(string id, string prompt, IReadOnlyList<IImageSource> sources) =>
        Prompt(id, TaggedPrompt.Of(prompt), Encode(sources, id));

    /// <summary>
    /// The user message's text: tags, new line, question; the question alone where it has its own tags or there are no images.
    /// </summary>
    /// <param name="imagesBefore">Images of the turns before it, when these are in the same chat.</param>
    public static string Content(Turn turn, int imagesBefore) => turn.Images.Count == 0 || ImageTags.AreIn(turn.User)
        ? ImageTags.Shift(turn.User, imagesBefore)
        : $"{ImageTags.Joined(imagesBefore + 1, turn.Images.Count)}\n{turn.User}";

    /// <summary>The prompt of a turn after those before it, and their images.</summary>
    internal static (TaggedPrompt Prompt, IReadOnlyList<IImageSource> Images) Chat(Sample sample, int asked)
    {
        var sources = new List<IImageSource>();
        var chat = new List<ChatMessage>(Told(sample));
        for (var i = 0; i <= asked; i++)
        {
            if (i > 0) chat.Add(new(ChatTemplate.Assistant, sample.Turns[i - 1].Answers[0] + ChatTemplate.AnswerEnd));
            chat.Add(new(ChatTemplate.User, Content(sample.Turns[i], sources.Count)));
            sources.AddRange(sample.Turns[i].Images);
        }
        return (ChatTemplate.Tagged(chat), sources);
    }

    /// <summary>A turn's prompt as it is trained: without those before it. What the system says stands once, before the first.</summary>
    internal static TaggedPrompt Alone(Sample sample, Turn turn, bool isFirst) =>
        ChatTemplate.Tagged([.. isFirst ? Told(sample) : [], new(ChatTemplate.User, Content(turn, imagesBefore: 0))]);

    private static IEnumerable<ChatMessage> Told(Sample sample) =>
        sample.System.Length > 0 ? [new(ChatTemplate.System, sample.System)] : [];

    /// <summary>Why a sample is refused that is longer than the model's context.</summary>
    internal static string TooLong(int tokens, int maxTokens, int imageTokens, int images) =>
        $"{tokens} tokens do not fit the model's context of {maxTokens}, {imageTokens} of them are {images} image(s); "
        + "lower model.numCrops or leave it out.";

    private static IReadOnlyList<Turn> Drawn(Sample sample, int seed, int epoch) => sample.Kind != SampleKind.Alternatives
        ? sample.Turns
        : [sample.Turns[SplitMix64.For("turn", seed, epoch, sample.Id).Below(sample.Turns.Count)]];

    private EncodedSample Label(
        Sample sample, IReadOnlyList<Turn> turns, Func<Turn, string> answerOf, Func<IReadOnlyList<IImageSource>, List<EncodedImage>> encode)
    {
        List<long> ids = [], labels = [];
        var images = new List<EncodedImage>();
        foreach (var turn in turns)
        {
            AddPrompt(Alone(sample, turn, isFirst: ids.Count == 0), encode(turn.Images), ids, images, sample.Id);
            labels.AddRange(Enumerable.Repeat(Ignored, ids.Count - labels.Count));
            tokenizer.Encode(answerOf(turn) + ChatTemplate.AnswerEnd, addBos: false, ids);
            labels.AddRange(ids[labels.Count..]);
        }
        return Checked(new(sample.Id, [.. ids], [.. labels], images));
    }

    private EncodedSample Ask(Sample sample, int asked, Func<IReadOnlyList<IImageSource>, List<EncodedImage>> encode)
    {
        var (prompt, sources) = Chat(sample, asked);
        return Prompt(sample.Id, prompt, encode(sources));
    }

    private EncodedSample Prompt(string id, TaggedPrompt prompt, List<EncodedImage> given)
    {
        var (ids, images) = (new List<long>(), new List<EncodedImage>());
        AddPrompt(prompt, given, ids, images, id);
        return Checked(new(id, [.. ids], [], images));
    }

    private void AddPrompt(TaggedPrompt prompt, List<EncodedImage> given, List<long> ids, List<EncodedImage> images, string id)
    {
        var order = _prompts.Encode(prompt, given.ConvertAll(image => image.TokenCount), ids, $"sample {id}");
        images.AddRange(order.Select(index => given[index]));
    }

    private List<EncodedImage> Encode(IReadOnlyList<IImageSource> sources, string id) =>
        [.. sources.Select(source => ImageEncoder.Encode(source, numCrops, $"sample {id}: {source.Description}"))];

    private EncodedSample Checked(EncodedSample sample) => sample.InputIds.Length <= maxTokens
        ? sample
        : throw new InputException($"sample {sample.Id}: "
            + TooLong(sample.InputIds.Length, maxTokens, sample.Images.Sum(image => image.TokenCount), sample.Images.Count));
}
