using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Processing;

/// <summary>A decoded picture, 8 bits a channel, unblended.</summary>
/// <param name="Pixels">Height · width · 4 bytes: red, green, blue and one that means nothing; four, because vectors like it.</param>
internal sealed record RgbxImage(byte[] Pixels, int Width, int Height)
{
    /// <summary>The picture that an EXIF orientation means: 2 to 8 mirror and turn it, anything else leaves it.</summary>
    public RgbxImage Turned(int orientation)
    {
        var (w, h) = (Width, Height);
        // Where pixel (0, 0) goes, and what a step right and a step down add to that.
        (int Start, int Right, int Down)? way = orientation switch
        {
            2 => (w - 1, -1, w),
            3 => (w * h - 1, -1, -w),
            4 => ((h - 1) * w, 1, -w),
            5 => (0, h, 1),
            6 => (h - 1, h, -1),
            7 => (w * h - 1, -h, -1),
            8 => ((w - 1) * h, -h, 1),
            _ => null,
        };
        if (way is not { } to) return this;
        var turned = GC.AllocateUninitializedArray<byte>(Pixels.Length);
        var source = MemoryMarshal.Cast<byte, uint>(Pixels.AsSpan());
        var target = MemoryMarshal.Cast<byte, uint>(turned.AsSpan());
        for (var y = 0; y < h; y++)
            for (int x = 0, at = to.Start + y * to.Down; x < w; x++, at += to.Right) target[at] = source[y * w + x];
        return ExifOrientation.SwapsSides(orientation) ? new(turned, h, w) : new(turned, w, h);
    }
}
