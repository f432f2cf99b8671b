using System.Text.Json.Nodes;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Model;
using SkiaSharp;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>
/// The model's input of a reference case. Images start from the reference's own resized and padded 8-bit image, so that only the model
/// is under test.
/// </summary>
internal static class CaseInputs
{
    private const int Side = 336;

    /// <returns>Null where the reference holds no resized image for one of the case's images.</returns>
    public static ModelInput? Read(JsonNode expected, SafeTensorsFile tensors)
    {
        var images = new List<ImageCrops>();
        foreach (var name in expected["turns"]!.AsArray().SelectMany(turn => turn!["images"]!.AsArray()).Select(image => (string)image!))
        {
            var file = $"{Path.GetFileNameWithoutExtension(name)}-{expected["num_crops"]}.png";
            var path = ReferenceFolder.PathOf("processor", "expected", file);
            if (!File.Exists(path)) return null;
            images.Add(Crops(path));
        }
        return new(Numbers(tensors, "input_ids"), Numbers(tensors, "labels"), images);
    }

    public static long[] Numbers(SafeTensorsFile tensors, string name)
    {
        using var view = tensors.View(name);
        using var wide = view.to(ScalarType.Int64);
        return wide.data<long>().ToArray();
    }

    private static ImageCrops Crops(string path)
    {
        using var codec = SKCodec.Create(path);
        using var bitmap = SKBitmap.Decode(codec, codec.Info.WithColorType(SKColorType.Rgba8888).WithAlphaType(SKAlphaType.Opaque));
        var (rows, columns) = (bitmap.Height / Side, bitmap.Width / Side);
        var rgb = tensor(bitmap.Bytes, ScalarType.Byte).view(bitmap.Height, bitmap.Width, 4).narrow(2, 0, 3);
        var mean = tensor(new float[] { 0.48145466f, 0.4578275f, 0.40821073f });
        var deviation = tensor(new float[] { 0.26862954f, 0.26130258f, 0.27577711f });
        var normal = ((rgb.to(ScalarType.Float32) / 255f - mean) / deviation).permute(2, 0, 1).unsqueeze(0);
        var overview = nn.functional.interpolate(normal, [Side, Side], mode: InterpolationMode.Bicubic, align_corners: false);
        if (rows * columns == 1) return new(overview, 1, 1);
        var tiles = normal.view(3, rows, Side, columns, Side).permute(1, 3, 0, 2, 4).reshape(-1, 3, Side, Side);
        return new(cat([overview, tiles], 0), rows, columns);
    }
}
