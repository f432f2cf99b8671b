using System.Runtime.InteropServices;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Tests.Fuzz;
using SkiaSharp;

namespace Phi3VCluster.Training.Tests.Processing;

public sealed class SampleMeasureTests : IDisposable
{
    private const int NumCrops = 4, Samples = 60;

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-measure-").FullName;
    private readonly Tokenizer _tokenizer;
    private readonly SampleEncoder _encoder;
    private readonly SampleMeasure _measure;

    public SampleMeasureTests()
    {
        _tokenizer = SmallTokenizer.Load(_folder);
        _encoder = new(_tokenizer, NumCrops, maxTokens: 1_000_000);
        _measure = new(_tokenizer);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_is_measured_is_what_is_encoded()
    {
        var images = 0;
        for (var seed = 0; seed < Samples; seed++)
        {
            var sample = Draw(new((ulong)seed), $"{seed}");
            images += sample.Turns.Sum(turn => turn.Images.Count);

            Assert.Equal(LongestEncoded(sample), _measure.ForTraining(sample, Tokens));

            var asked = sample.Kind == SampleKind.Conversation ? sample.Turns.Count - 1 : 0;
            Assert.Equal(_encoder.EncodeForEvaluation(sample, asked).InputIds.Length, _measure.ForEvaluation(sample, Tokens));
        }
        Assert.True(images > Samples);
    }

    [Fact]
    public void Turns_are_measured_together_as_they_are_encoded_together()
    {
        var random = new SplitMix64(99);
        var turns = Enumerable.Range(0, 4).Select(_ => Draw(ref random) with { Answers = ["abc aa"] }).ToList();

        var sample = new Sample("s", turns);

        Assert.Equal(_encoder.EncodeForTraining(sample, seed: 1, epoch: 0).InputIds.Length, _measure.ForTraining(sample, Tokens));
    }

    [Fact]
    public void An_image_counts_once_a_tag()
    {
        var image = Drawn(40, 30, SKEncodedImageFormat.Png, orientation: 1, upright: false);
        Turn once = new([image], "<|image_1|>", ["a"]), twice = new([image], "<|image_1|><|image_1|>", ["a"]);

        var more = _measure.ForTraining(new("s", [twice]), Tokens) - _measure.ForTraining(new("s", [once]), Tokens);

        Assert.True(more > Tokens(image));
        Assert.Equal(LongestEncoded(new("s", [twice])), _measure.ForTraining(new("s", [twice]), Tokens));
    }

    [Fact]
    public void Tags_that_are_not_those_of_the_images_are_refused() =>
        Assert.Throws<InputException>(() => _measure.ForTraining(new("s", [new([], "<|image_1|>", ["a"])]), Tokens));

    [Theory]
    [InlineData(SKEncodedImageFormat.Jpeg, false)]
    [InlineData(SKEncodedImageFormat.Jpeg, true)]
    [InlineData(SKEncodedImageFormat.Png, false)]
    [InlineData(SKEncodedImageFormat.Png, true)]
    [InlineData(SKEncodedImageFormat.Webp, true)]
    public void The_beginning_of_a_large_file_tells_its_size(SKEncodedImageFormat format, bool upright)
    {
        var image = Drawn(700, 500, format, orientation: 6, upright);
        Assert.True(image.File.Length > 200_000, $"{image.File.Length} bytes are not a large file");

        var size = ImageDecoder.ReadSize(image);

        Assert.Equal(upright && format != SKEncodedImageFormat.Jpeg, image.WasReadWhole);
        var decoded = ImageDecoder.Decode(image.File, "whole", upright);
        Assert.Equal((decoded.Width, decoded.Height), size);
        Assert.Equal(upright ? (500, 700) : (700, 500), size);
    }

    [Fact]
    public void A_jpeg_whose_notes_are_longer_than_its_usual_beginning_is_read_whole()
    {
        var jpeg = Drawn(60, 40, SKEncodedImageFormat.Jpeg, orientation: 8, upright: true).File;
        for (var i = 0; i < 2; i++) jpeg = SmallExif.WithXmp(jpeg, new string('x', 60_000));

        Assert.Equal((40, 60), ImageDecoder.ReadSize(new Stored(jpeg, upright: true)));
    }

    [Theory]
    [InlineData(1, 3, 2)]
    [InlineData(6, 2, 3)]
    public void A_tiff_is_measured_as_it_is_turned(int orientation, int width, int height) => Assert.Equal((width, height),
        ImageDecoder.ReadSize(SmallTiff.Write([.. "aaabbbcccdddeeefff"u8], 3, 2, bigEndian: true, orientation: orientation), "t.tif"));

    [Fact]
    public void What_could_never_be_decoded_is_refused_by_its_header()
    {
        var packed = SmallTiff.Write(new byte[18], 3, 2, bigEndian: false, compression: 34712);
        var bomb = SmallPng.Write(60_000, 60_000, 1, SmallPng.Grey, new byte[60_000]);

        Assert.Contains("its compression (JP2000) is not read",
            Assert.Throws<InputException>(() => ImageDecoder.ReadSize(packed, "t.tif")).Message);
        Assert.Contains("60000×60000", Assert.Throws<InputException>(() => ImageDecoder.ReadSize(bomb, "bomb.png")).Message);
    }

    private static int Tokens(IImageSource image)
    {
        var (width, height) = ImageDecoder.ReadSize(image);
        return ImageLayout.For(width, height, NumCrops, image.Description).TokenCount;
    }

    /// <summary>The longest of all that may be drawn, each encoded.</summary>
    private int LongestEncoded(Sample sample)
    {
        var turns = sample.Turns.Select(turn => turn.Answers.Max(answer =>
            _encoder.EncodeForTraining(new(sample.Id, [turn with { Answers = [answer] }]), seed: 1, epoch: 0).InputIds.Length));
        return sample.Kind == SampleKind.Alternatives ? turns.Max() : turns.Sum();
    }

    private static Sample Draw(SplitMix64 random, string id)
    {
        var turns = new List<Turn>();
        for (var left = 1 + random.Below(3); left > 0; left--) turns.Add(Draw(ref random));
        return new(id, turns, (SampleKind)random.Below(3));
    }

    private static Turn Draw(ref SplitMix64 random)
    {
        var images = new List<IImageSource>();
        for (var left = random.Below(3); left > 0; left--)
            images.Add(Drawn(
                20 + random.Below(300), 20 + random.Below(300),
                SKEncodedImageFormat.Png, (ushort)(1 + random.Below(8)), random.Below(2) == 1));
        var user = Text(ref random);
        if (images.Count > 0 && random.Below(2) == 1)
            user = $"{Text(ref random)}{string.Concat(Enumerable.Range(1, images.Count).Reverse().Select(ImageTags.Of))}{user}";
        var answers = new List<string>();
        for (var left = 1 + random.Below(3); left > 0; left--) answers.Add(Text(ref random));
        return new(images, user, answers);
    }

    private static string Text(ref SplitMix64 random)
    {
        string[] parts = ["a", "b", "abc", " ", "  ", "\n", "é", "😀", "<|x|>", "aaaa", "<|end|>", "c c"];
        var text = "";
        for (var left = 1 + random.Below(12); left > 0; left--) text += parts[random.Below(parts.Length)];
        return text;
    }

    private static Stored Drawn(int width, int height, SKEncodedImageFormat format, ushort orientation, bool upright)
    {
        var pixels = ImageTests.Noise(width, height);
        var block = SmallExif.Block(orientation, bigEndian: false);
        return new(format switch
        {
            SKEncodedImageFormat.Jpeg => SmallExif.InJpeg(Encoded(pixels, format), block),
            SKEncodedImageFormat.Webp => SmallExif.InWebP(Encoded(pixels, format), "EXIF", block),
            _ => SmallExif.InPng(Encoded(pixels, format), "eXIf", block),
        }, upright);
    }

    private static byte[] Encoded(RgbxImage image, SKEncodedImageFormat format)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(image.Width, image.Height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        Marshal.Copy(image.Pixels, 0, bitmap.GetPixels(), image.Pixels.Length);
        using var data = bitmap.Encode(format, quality: 90);
        return data.ToArray();
    }

    private sealed class Stored(byte[] file, bool upright) : IImageSource
    {
        public string Description => "stored";
        public bool IsTurnedUpright => upright;
        public byte[] File => file;
        public bool WasReadWhole { get; private set; }

        public byte[] Read()
        {
            WasReadWhole = true;
            return file;
        }

        public byte[] ReadBeginning(int most) => file[..Math.Min(most, file.Length)];
    }
}
