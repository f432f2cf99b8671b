using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// Pillow's <c>resize(…, BILINEAR)</c>, byte for byte: one axis after the other, rounded to 8 bits in between. No library we know has
/// the same numbers, and the model was trained on these.
/// </summary>
internal static class PillowResize
{
    private const int Half = 1 << (Resampling.PrecisionBits - 1);

    /// <param name="rowsFirst">Which axis goes first changes the last bit: Pillow's order is columns (the width), then rows.</param>
    public static RgbxImage Bilinear(RgbxImage image, int width, int height, bool rowsFirst) => rowsFirst
        ? ResizeWidth(ResizeHeight(image, height), width)
        : ResizeHeight(ResizeWidth(image, width), height);

    private static RgbxImage ResizeWidth(RgbxImage image, int width)
    {
        if (width == image.Width) return image;
        var plan = new Resampling(image.Width, width);
        var result = GC.AllocateUninitializedArray<byte>(checked(width * image.Height * 4));
        for (var y = 0; y < image.Height; y++)
            WidthOfRow(image.Pixels.AsSpan(y * image.Width * 4, image.Width * 4), result.AsSpan(y * width * 4, width * 4), plan);
        return new(result, width, image.Height);
    }

    private static void WidthOfRow(ReadOnlySpan<byte> from, Span<byte> to, Resampling plan)
    {
        var source = MemoryMarshal.Cast<byte, uint>(from);
        var target = MemoryMarshal.Cast<byte, uint>(to);
        for (var x = 0; x < target.Length; x++)
        {
            var pixels = source.Slice(plan.First[x], plan.Count[x]);
            var weights = plan.Weights.AsSpan(x * plan.Taps, pixels.Length);
            var sum = Vector128.Create(Half); // red, green, blue, unused
            for (var j = 0; j < pixels.Length; j++)
            {
                var channels = Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalar(pixels[j]).AsByte())).AsInt32();
                sum += channels * Vector128.Create(weights[j]);
            }
            target[x] = Bytes(sum).AsUInt32().ToScalar();
        }
    }

    private static RgbxImage ResizeHeight(RgbxImage image, int height)
    {
        if (height == image.Height) return image;
        var plan = new Resampling(image.Height, height);
        var stride = image.Width * 4;
        var result = GC.AllocateUninitializedArray<byte>(checked(stride * height));
        for (var y = 0; y < height; y++)
            SumRows(image.Pixels.AsSpan(plan.First[y] * stride), stride, plan.Weights.AsSpan(y * plan.Taps, plan.Count[y]),
                result.AsSpan(y * stride, stride));
        return new(result, image.Width, height);
    }

    private static void SumRows(ReadOnlySpan<byte> rows, int stride, ReadOnlySpan<int> weights, Span<byte> to)
    {
        const int step = 16;
        ref var first = ref MemoryMarshal.GetReference(rows);
        var at = 0;
        for (; at + step <= stride; at += step)
        {
            Vector256<int> low = Vector256.Create(Half), high = low;
            for (var j = 0; j < weights.Length; j++)
            {
                var bytes = Vector128.LoadUnsafe(ref first, (nuint)(j * stride + at));
                var weight = Vector256.Create(weights[j]);
                low += Vector256.WidenLower(Vector128.WidenLower(bytes).ToVector256Unsafe()).AsInt32() * weight;
                high += Vector256.WidenLower(Vector128.WidenUpper(bytes).ToVector256Unsafe()).AsInt32() * weight;
            }
            Vector128.Narrow(Shorts(low), Shorts(high)).CopyTo(to[at..]);
        }
        for (; at < stride; at++)
        {
            var sum = Half;
            for (var j = 0; j < weights.Length; j++) sum += rows[j * stride + at] * weights[j];
            to[at] = (byte)Math.Clamp(sum >> Resampling.PrecisionBits, 0, 255);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ushort> Shorts(Vector256<int> sums)
    {
        var clipped = Vector256.Min(Vector256.Max(sums >> Resampling.PrecisionBits, Vector256<int>.Zero), Vector256.Create(255)).AsUInt32();
        return Vector128.Narrow(clipped.GetLower(), clipped.GetUpper());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Bytes(Vector128<int> sums)
    {
        var clipped = Vector128.Min(Vector128.Max(sums >> Resampling.PrecisionBits, Vector128<int>.Zero), Vector128.Create(255)).AsUInt32();
        var shorts = Vector128.Narrow(clipped, clipped);
        return Vector128.Narrow(shorts, shorts);
    }
}
