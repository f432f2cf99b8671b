using Phi3VCluster.Training.Engine;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Engine;

public sealed class FeatureCacheTests(SmallRuns runs) : IClassFixture<SmallRuns>
{
    private const string Separator = "model.vision_embed_tokens.glb_GN";

    [Fact]
    public void Pictures_go_to_memory_then_to_the_file_and_then_nowhere()
    {
        using var cache = FeatureCache.Private(memoryBytes: 25, diskBytes: 25);
        foreach (var key in Enumerable.Range(0, 6)) cache.Add((UInt128)key, Bytes(key));

        Assert.Equal(4, cache.Count); // two by two; five bytes are left of each
        for (var key = 0; key < 6; key++) Assert.Equal(key < 4 ? Bytes(key) : null, cache.Find((UInt128)key));
        cache.Add(9, [1, 2, 3]);
        Assert.Equal([1, 2, 3], cache.Find(9));
    }

    [Fact]
    public void What_a_file_cut_short_no_longer_holds_is_not_there()
    {
        using var cache = FeatureCache.Private(memoryBytes: 0, diskBytes: 25);
        cache.Add(1, Bytes(1));
        cache.Add(2, Bytes(2));

        System.Diagnostics.Process.Start("truncate", ["-s", "15", cache.FilePath]).WaitForExit();

        Assert.Equal(Bytes(1), cache.Find(1));
        Assert.Null(cache.Find(2));
    }

    [Fact]
    public void What_is_there_stays_as_it_is()
    {
        using var cache = FeatureCache.Private(memoryBytes: 15, diskBytes: 15);
        cache.Add(1, Bytes(1));
        cache.Add(2, Bytes(2));
        cache.Add(1, Bytes(7));
        cache.Add(2, Bytes(8));

        Assert.Equal(2, cache.Count);
        Assert.Equal(Bytes(1), cache.Find(1));
        Assert.Equal(Bytes(2), cache.Find(2));
    }

    [Fact]
    public void Ranks_of_a_run_share_one_and_other_runs_do_not()
    {
        var (first, second) = (FeatureCache.Open("run a", "auto")!, FeatureCache.Open("run a", "auto")!);
        var other = FeatureCache.Open("run b", "auto")!;
        Assert.Same(first, second);
        Assert.NotSame(first, other);
        first.Add(1, Bytes(1));

        first.Dispose();
        Assert.Equal(Bytes(1), second.Find(1)); // still in use
        second.Dispose();
        Assert.Equal(0, second.Count);
        using var again = FeatureCache.Open("run a", "auto");
        Assert.NotSame(first, again);
        Assert.Null(again!.Find(1));
        other.Dispose();
    }

    [Fact]
    public void Nothing_is_kept_where_none_is_asked_for() => Assert.Null(FeatureCache.Open("run c", "none"));

    [Fact]
    public void Many_threads_read_what_they_wrote_from_the_file()
    {
        using var cache = FeatureCache.Private(memoryBytes: 0, diskBytes: 1 << 20);
        Parallel.For(0, 400, i =>
        {
            cache.Add((UInt128)(i % 100), Bytes(i % 100));
            Assert.Equal(Bytes(i % 100), cache.Find((UInt128)(i % 100)));
        });
        Assert.Equal(100, cache.Count);
    }

    [Fact]
    public void The_file_is_gone_when_the_last_user_is()
    {
        HashSet<string> Files() => [.. Directory.EnumerateFiles(Path.GetTempPath(), "phi3v-features-*")];
        var before = Files();
        var cache = FeatureCache.Private(memoryBytes: 0, diskBytes: 100);
        cache.Add(1, Bytes(1));
        var made = Files().Except(before).ToList();
        Assert.NotEmpty(made);

        cache.Dispose();

        Assert.Contains(made, file => !File.Exists(file)); // the others are other tests'
    }

    [Fact]
    public void A_picture_s_key_is_its_pixels_and_shape()
    {
        var image = new EncodedImage(Bytes(1), 336, 672, 313);

        Assert.Equal(FeatureCache.KeyOf(image), FeatureCache.KeyOf(image with { Rgb = Bytes(1), TokenCount = 1 }));
        Assert.NotEqual(FeatureCache.KeyOf(image), FeatureCache.KeyOf(image with { Height = 672, Width = 336 }));
        Assert.NotEqual(FeatureCache.KeyOf(image), FeatureCache.KeyOf(image with { Rgb = Bytes(2) }));
    }

    [Theory]
    [InlineData("lora", 1)]
    [InlineData("lora", 2)]
    [InlineData("frozen-vision", 2)]
    public void A_run_loses_the_same_wherever_features_are_kept(string method, int worldSize)
    {
        var spec = runs.Spec with { Method = new() { Kind = method, Rank = 4, FreezeVision = true }, Epochs = 2 };
        var kept = ((string[])["none", "memory", "disk"])
            .Select(policy => runs.Finish(spec with { Data = spec.Data with { CacheFeatures = policy } }, worldSize))
            .Select(output => SmallRuns.Numbers(output, "loss")).ToList();

        Assert.Equal(6, kept[0].Count);
        foreach (var losses in kept.Skip(1))
            Assert.All(kept[0].Zip(losses), pair => Assert.Equal(pair.First, pair.Second, 1e-6 * pair.First));
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void The_tower_sees_each_distinct_picture_once(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var compute = RankCompute.Plain with { Type = type };
        var spec = runs.Lora with { Method = new() { Kind = "lora", Rank = 4, FreezeVision = true } };
        using var model = TrainedModel.Load(spec, compute);
        using var cache = FeatureCache.Private(1 << 24, 0);
        var inputs = new ModelInputs(model.Model, compute, cache);
        EncodedImage black = Image(0), white = Image(255);

        var first = inputs.For(Sample(black, white));
        var again = inputs.For(Sample(white, black, black));

        Assert.Equal(2, cache.Count);
        var (blackTokens, whiteTokens) = (first.ImageTokens![..313], first.ImageTokens[313..]);
        Assert.NotEqual(Numbers(blackTokens), Numbers(whiteTokens));
        Assert.Equal([.. Numbers(whiteTokens), .. Numbers(blackTokens), .. Numbers(blackTokens)], Numbers(again.ImageTokens!));
        var changed = runs.Checkpoint(Separator, value => value.add_(1));
        using var other = TrainedModel.Load(spec with { Model = spec.Model with { Path = changed } }, compute);
        Assert.NotEqual(Numbers(blackTokens), Numbers(new ModelInputs(other.Model, compute).For(Sample(black)).ImageTokens!));
        var cached = new ModelInputs(other.Model, compute, cache).For(Sample(black));
        Assert.Equal(Numbers(blackTokens), Numbers(cached.ImageTokens!)); // not asked
    }

    private static EncodedSample Sample(params EncodedImage[] images) => new("a", [1], [-100], images);

    private static EncodedImage Image(byte grey) => new([.. Enumerable.Repeat(grey, 336 * 336 * 3)], 336, 336, 313);

    private static byte[] Bytes(int key) => [.. Enumerable.Repeat((byte)key, 10)];

    private static float[] Numbers(Tensor x) => x.to_type(ScalarType.Float32).contiguous().data<float>().ToArray();
}
