using Phi3VCluster.Spec;
using Phi3VCluster.Training.Processing;

namespace Phi3VCluster.Training.Tests.Processing;

public sealed class SampleEncoderTests : IDisposable
{
    private const int OneCropTokens = 313;

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-encoder-").FullName;
    private readonly Tokenizer _tokenizer;
    private readonly SampleEncoder _encoder;

    public SampleEncoderTests()
    {
        _tokenizer = SmallTokenizer.Load(_folder);
        _encoder = new(_tokenizer, numCrops: 1, maxTokens: 2000);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_turn_is_its_prompt_in_pieces_with_a_bos_each_and_its_answer_without()
    {
        var sample = new Sample("one", [new([new Drawn()], "abc", ["ab"])]);

        var encoded = _encoder.EncodeForTraining(sample, seed: 1, epoch: 0);

        long[] before = _tokenizer.Encode("<|user|>\n", addBos: true);
        long[] after = _tokenizer.Encode("\nabc<|end|>\n<|assistant|>\n", addBos: true);
        var answer = _tokenizer.Encode("ab<|end|>\n<|endoftext|>", addBos: false);
        long[] prompt = [.. before, .. Enumerable.Repeat(-1L, OneCropTokens), .. after];
        Assert.Equal([.. prompt, .. answer], encoded.InputIds);
        Assert.Equal([.. Enumerable.Repeat(-100L, prompt.Length), .. answer], encoded.Labels);
        Assert.Equal(OneCropTokens, Assert.Single(encoded.Images).TokenCount);
    }

    [Fact]
    public void Turns_are_trained_one_after_the_other_each_numbering_its_own_images()
    {
        Turn first = new([new Drawn()], "a", ["b"]), second = new([], "b", ["c"]), third = new([new Drawn()], "c", ["a"]);

        var together = _encoder.EncodeForTraining(new("s", [first, second, third]), seed: 1, epoch: 0);

        var apart = new[] { first, second, third }.Select(turn => _encoder.EncodeForTraining(new("s", [turn]), seed: 1, epoch: 0)).ToList();
        Assert.Equal(apart.SelectMany(one => one.InputIds), together.InputIds);
        Assert.Equal(apart.SelectMany(one => one.Labels), together.Labels);
        Assert.Equal(2 * OneCropTokens, together.InputIds.Count(id => id == -1));
    }

    [Fact]
    public void In_evaluation_earlier_turns_are_one_chat_and_images_are_numbered_through()
    {
        var sample = new Sample("s", [new([new Drawn()], "a", ["b", "c"]), new([new Drawn()], "b", ["c"])]);

        var encoded = _encoder.EncodeForEvaluation(sample);

        long[] expected =
        [
            .. _tokenizer.Encode("<|user|>\n", addBos: true), .. Enumerable.Repeat(-1L, OneCropTokens),
            .. _tokenizer.Encode("\na<|end|>\n<|assistant|>\nb<|end|>\n<|endoftext|><|end|>\n<|user|>\n", addBos: true),
            .. Enumerable.Repeat(-2L, OneCropTokens), .. _tokenizer.Encode("\nb<|end|>\n<|assistant|>\n", addBos: true),
        ];
        Assert.Equal(expected, encoded.InputIds);
        Assert.Empty(encoded.Labels);
        Assert.Equal(
            _encoder.EncodeForEvaluation(new("s", [sample.Turns[0]])).InputIds, _encoder.EncodeForEvaluation(sample, turn: 0).InputIds);
    }

    [Fact]
    public void What_the_system_says_stands_once_before_the_first_question()
    {
        var sample = new Sample("s", [new([], "a", ["b"]), new([], "b", ["c"])], System: "ab");

        long[] trained =
        [
            .. _tokenizer.Encode("<|system|>\nab<|end|>\n<|user|>\na<|end|>\n<|assistant|>\n", addBos: true),
            .. _tokenizer.Encode("b<|end|>\n<|endoftext|>", addBos: false),
            .. _tokenizer.Encode("<|user|>\nb<|end|>\n<|assistant|>\n", addBos: true),
            .. _tokenizer.Encode("c<|end|>\n<|endoftext|>", addBos: false),
        ];
        Assert.Equal(trained, _encoder.EncodeForTraining(sample, seed: 1, epoch: 0).InputIds);
        var asked = "<|system|>\nab<|end|>\n<|user|>\na<|end|>\n<|assistant|>\nb<|end|>\n<|endoftext|><|end|>\n"
            + "<|user|>\nb<|end|>\n<|assistant|>\n";
        Assert.Equal(_tokenizer.Encode(asked, addBos: true), _encoder.EncodeForEvaluation(sample).InputIds);
    }

    [Theory]
    [InlineData("<|image_1|>")]
    [InlineData("<|image_2|>")]
    public void A_tag_in_an_answer_or_a_system_text_is_text(string tag)
    {
        var sample = new Sample("s", [new([new Drawn()], "a", [$"b {tag}"]), new([], "b", ["c"])], System: tag);

        var (labelled, prompt) = _encoder.EncodeForScoring(sample);

        Assert.Equal((1, 1), (labelled.Images.Count, prompt.Images.Count));
        Assert.Equal(OneCropTokens, prompt.InputIds.Count(id => id < 0));
        long[] end =
        [
            .. Enumerable.Repeat(-1L, OneCropTokens),
            .. _tokenizer.Encode(
                $"\na<|end|>\n<|assistant|>\nb {tag}<|end|>\n<|endoftext|><|end|>\n<|user|>\nb<|end|>\n<|assistant|>\n", addBos: true),
        ];
        Assert.Equal(end, prompt.InputIds[^end.Length..]);
        var measure = new SampleMeasure(_tokenizer);
        Assert.Equal(
            (labelled.InputIds.Length, prompt.InputIds.Length),
            (measure.ForTraining(sample, _ => OneCropTokens), measure.ForEvaluation(sample, _ => OneCropTokens)));
    }

    [Fact]
    public void Images_come_in_the_order_of_their_tags()
    {
        Drawn light = new(shade: 250), dark = new(shade: 10);

        var encoded = _encoder.EncodeForTraining(new("s", [new([light, dark], "<|image_2|>a<|image_1|>", ["b"])]), seed: 1, epoch: 0);

        Assert.Equal([10, 250], encoded.Images.Select(image => image.Rgb[0]));
        Assert.Equal([-2L, -1L], encoded.InputIds.Where(id => id < 0).Distinct());
    }

    [Theory]
    [InlineData("<|image_1|> and <|image_3|>")]
    [InlineData("<|image_1|> alone")]
    [InlineData("<|image_0|><|image_1|>")]
    [InlineData("<|image_1|><|image_2|><|image_99999999999|>")]
    public void Tags_that_are_not_those_of_the_images_are_refused(string user)
    {
        var sample = new Sample("bad one", [new([new Drawn(), new Drawn()], user, ["b"])]);

        var error = Assert.Throws<InputException>(() => _encoder.EncodeForTraining(sample, seed: 1, epoch: 0));

        Assert.Contains("bad one", error.Message);
        Assert.Contains("<|image_1|><|image_2|>", error.Message);
    }

    [Fact]
    public void A_sample_beyond_the_context_is_refused_and_not_cut()
    {
        var sample = new Sample("long", [new([new Drawn()], "abc", ["ab"])]);
        var length = _encoder.EncodeForTraining(sample, seed: 1, epoch: 0).InputIds.Length;

        Assert.Equal(length, new SampleEncoder(_tokenizer, 1, maxTokens: length).EncodeForTraining(sample, 1, 0).InputIds.Length);
        var error = Assert.Throws<InputException>(
            () => new SampleEncoder(_tokenizer, 1, maxTokens: length - 1).EncodeForTraining(sample, 1, 0));
        Assert.Contains($"{length} tokens", error.Message);
    }

    [Fact]
    public void An_empty_prompt_is_a_bos_and_a_long_one_is_refused()
    {
        Assert.Equal([_tokenizer.BosId], _encoder.EncodePrompt("empty", "", []).InputIds);

        var error = Assert.Throws<InputException>(() => _encoder.EncodePrompt("long one", new('a', 6000), []));

        Assert.Contains("long one", error.Message);
        Assert.Contains("context of 2000", error.Message);
    }

    [Fact]
    public void The_trained_answer_depends_on_seed_epoch_and_sample_only()
    {
        var answers = new[] { "a", "b", "c" };
        long[][] Draw(int seed) => [.. Enumerable.Range(0, 40).Select(epoch =>
            _encoder.EncodeForTraining(new("s", [new([], "a", answers)]), seed, epoch).Labels)];

        var draws = Draw(seed: 7);

        Assert.Equal(draws, Draw(seed: 7));
        Assert.NotEqual(draws, Draw(seed: 8));
        Assert.Equal(3, draws.Select(labels => string.Join(' ', labels)).Distinct().Count());
    }

    [Fact]
    public void Of_alternatives_one_turn_is_drawn_with_its_answer_and_its_images()
    {
        Turn[] turns = [.. new[] { "a", "b", "c" }.Select(text => new Turn([new Drawn()], text, [text]))];
        var sample = new Sample("s", turns, SampleKind.Alternatives);
        var each = turns.Select(turn => _encoder.EncodeForTraining(new("s", [turn]), seed: 1, epoch: 0).InputIds).ToList();

        int Which(int epoch) => each.FindIndex(one => one.SequenceEqual(_encoder.EncodeForTraining(sample, seed: 5, epoch).InputIds));

        var drawn = Enumerable.Range(0, 40).Select(Which).ToList();

        Assert.Equal([0, 1, 2], drawn.Distinct().Order());
        Assert.Equal(drawn[17], Which(epoch: 17));
    }

    [Fact]
    public void An_image_is_turned_when_its_source_says_so()
    {
        var tall = SmallExif.InPng(ImageTests.Png(ImageTests.Noise(40, 10)), "eXIf", SmallExif.Block(6, bigEndian: true));

        var sizes = new[] { false, true }
            .Select(upright => new SampleEncoder(_tokenizer, 4, 5000)
                .EncodeForTraining(new("s", [new([new Stored(tall, upright)], "a", ["b"])]), 1, 0).Images[0])
            .Select(image => (image.Width, image.Height));

        Assert.Equal([(1344, 336), (336, 1344)], sizes);
    }

    private sealed class Stored(byte[] file, bool upright) : IImageSource
    {
        public string Description => "stored";
        public bool IsTurnedUpright => upright;
        public byte[] Read() => file;
    }

    /// <summary>A small square of one shade.</summary>
    private sealed class Drawn(byte shade = 128) : IImageSource
    {
        public string Description => $"square of {shade}";

        public byte[] Read() => ImageTests.Png(new([.. Enumerable.Repeat(shade, 8 * 8 * 4)], 8, 8));
    }
}
