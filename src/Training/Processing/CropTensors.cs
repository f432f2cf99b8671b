using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Processing;

/// <summary>8-bit pictures to the crops that the CLIP tower takes. Letters: N crops, C channels, H and W pixels of the padded picture.</summary>
public static class CropTensors
{
    private static readonly float[] Mean = [0.48145466f, 0.4578275f, 0.40821073f];
    private static readonly float[] Deviation = [0.26862954f, 0.26130258f, 0.27577711f];

    /// <summary>
    /// Crops [N, 3, 336, 336], float32, on <paramref name="device"/>: the global one first (the whole picture, bicubic), then the tiles row by
    /// row. A picture of one tile gives one crop, which is both: the two would be equal. The caller disposes the result.
    /// </summary>
    public static Tensor Make(EncodedImage image, Device device)
    {
        using var scope = NewDisposeScope();
        using var gradients = no_grad();
        const int side = ImageLayout.CropSize;
        var (rows, columns) = (image.Height / side, image.Width / side);
        var pixels_HWC = tensor(image.Rgb, [image.Height, image.Width, 3], ScalarType.Byte).to(device);
        var picture_CHW = pixels_HWC.permute(2, 0, 1).to(ScalarType.Float32).contiguous().div_(255f)
            .sub_(tensor(Mean, [3, 1, 1]).to(device)).div_(tensor(Deviation, [3, 1, 1]).to(device));
        var tiles_NCHW = picture_CHW.view(3, rows, side, columns, side).permute(1, 3, 0, 2, 4).reshape(rows * columns, 3, side, side);
        if (rows * columns == 1) return tiles_NCHW.MoveToOuterDisposeScope();
        var global_1CHW = nn.functional.interpolate(picture_CHW.unsqueeze(0), [side, side], mode: InterpolationMode.Bicubic, align_corners: false);
        return cat([global_1CHW, tiles_NCHW]).MoveToOuterDisposeScope();
    }
}
