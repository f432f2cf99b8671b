using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Processing;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Processing;

[Trait("Category", "Parity")]
public sealed class ImageParityTests
{
    private const double FloatTolerance = 1e-5;

    private static List<JsonElement> Cases() =>
        [.. JsonDocument.Parse(File.ReadAllBytes(FixtureFolder.Path("processor", "cases.json"))).RootElement.EnumerateArray()];

    [Fact]
    public void Every_image_decodes_to_the_originals_pixels()
    {
        var (problems, cases) = (new List<string>(), Cases());
        foreach (var one in cases)
        {
            var name = one.GetProperty("image").GetString()!;
            var image = ImageDecoder.Decode(File.ReadAllBytes(FixtureFolder.Path("processor", "images", name)), name);
            if ((image.Width, image.Height) != (one.GetProperty("width").GetInt32(), one.GetProperty("height").GetInt32()))
                problems.Add($"{name}: {image.Width}×{image.Height}");
            else if (one.TryGetProperty("decode_tolerance_levels", out var levels))
            {
                var expected = Rgb(Decoded(one));
                var furthest = Rgb(image).Zip(expected, (a, b) => Math.Abs(a - b)).Max();
                if (furthest > levels.GetInt32()) problems.Add($"{name}: {furthest} levels off");
            }
            else if (FixtureFolder.Sha256(Rgb(image)) != one.GetProperty("decoded_rgb_sha256").GetString())
                problems.Add($"{name}: other pixels");
        }
        FixtureFolder.AssertNone(problems, cases.Count);
    }

    [Fact]
    public void Every_image_is_resized_and_padded_to_the_originals_bytes()
    {
        var (problems, cases) = (new List<string>(), Cases());
        foreach (var one in cases)
        {
            var name = $"{one.GetProperty("image").GetString()} at {one.GetProperty("num_crops")}";
            var image = Encode(one);
            var size = one.GetProperty("image_size_height_width");
            if (image.Height != size[0].GetInt32() || image.Width != size[1].GetInt32())
                problems.Add($"{name}: {image.Height}×{image.Width}");
            if (image.TokenCount != one.GetProperty("tokens").GetInt32()) problems.Add($"{name}: {image.TokenCount} tokens");
            if (FixtureFolder.Sha256(image.Rgb) != one.GetProperty("resized_padded_sha256").GetString())
                problems.Add($"{name}: other bytes");
        }
        FixtureFolder.AssertNone(problems, cases.Count);
    }

    [Fact]
    public void Every_image_is_cropped_and_normalised_to_the_originals_numbers()
    {
        LibTorch.Load();
        var (problems, cases) = (new List<string>(), Cases());
        foreach (var one in cases)
        {
            using var scope = NewDisposeScope();
            var name = $"{one.GetProperty("image").GetString()} at {one.GetProperty("num_crops")}";
            var crops = CropTensors.Make(Encode(one), CPU);
            var means = one.GetProperty("pixel_values_mean").EnumerateArray().Select(mean => mean.GetDouble()).ToList();
            // The original hands over a single tile twice, as itself and as the global crop.
            if (means.Count == 2) means.RemoveAt(1);
            var got = crops.to(ScalarType.Float64).mean([1, 2, 3]).data<double>().ToArray();
            if (got.Length != means.Count || got.Zip(means, (a, b) => Math.Abs(a - b)).Max() > FloatTolerance)
                problems.Add($"{name}: means {got.Length}");
            if (one.TryGetProperty("floats", out var file))
                CompareFloats(name, crops, FixtureFolder.Path("processor", file.GetString()!), problems);
        }
        FixtureFolder.AssertNone(problems, cases.Count);
    }

    private static void CompareFloats(string name, Tensor crops, string path, List<string> problems)
    {
        var (global, tile) = (crops[0], crops[crops.shape[0] == 1 ? 0 : 1]);
        var border = cat([global[.., 0, ..], global[.., -1, ..], global[.., .., 0], global[.., .., -1]], 1);
        var every7 = TensorIndex.Slice(step: 7);
        Compare("global_border", border);
        Compare("global_every_7", global[.., every7, every7]);
        Compare("tile0_every_7", tile[.., every7, every7]);

        void Compare(string tensor, Tensor got)
        {
            var furthest = got.contiguous().data<float>().ToArray().Zip(ReadFloats(path, tensor), (a, b) => Math.Abs(a - b)).Max();
            if (furthest > FloatTolerance) problems.Add($"{name}: {tensor} is {furthest:G3} off");
        }
    }

    private static EncodedImage Encode(JsonElement one)
    {
        var name = one.GetProperty("image").GetString()!;
        var image = one.TryGetProperty("decode_tolerance_levels", out _)
            ? Decoded(one)
            : ImageDecoder.Decode(File.ReadAllBytes(FixtureFolder.Path("processor", "images", name)), name);
        return ImageEncoder.Encode(image, one.GetProperty("num_crops").GetInt32(), name);
    }

    private static RgbxImage Decoded(JsonElement one)
    {
        var name = one.GetProperty("decoded_png").GetString()!;
        return ImageDecoder.Decode(File.ReadAllBytes(FixtureFolder.Path("processor", name)), name);
    }

    private static byte[] Rgb(RgbxImage image) => [.. image.Pixels.Where((_, i) => i % 4 != 3)];

    private static float[] ReadFloats(string path, string name)
    {
        var file = File.ReadAllBytes(path);
        var header = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        using var document = JsonDocument.Parse(file.AsMemory(8, header));
        var range = document.RootElement.GetProperty(name).GetProperty("data_offsets");
        return MemoryMarshal.Cast<byte, float>(file.AsSpan(8 + header)[range[0].GetInt32()..range[1].GetInt32()]).ToArray();
    }
}
