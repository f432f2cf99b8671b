using System.Runtime.Intrinsics;

namespace Phi3VCluster.Training.Native.Blocked;

/// <summary>Rows of bf16 numbers, computed with in float32, 32 at a time.</summary>
internal static unsafe class Bf16Row
{
    private const int Lanes = 32;

    public static float Largest(ushort* x, int count)
    {
        var largest = Vector512.Create(float.NegativeInfinity);
        var i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            var (low, high) = Load(x + i);
            largest = Vector512.MaxNative(largest, Vector512.MaxNative(low, high));
        }
        var result = float.NegativeInfinity;
        for (var lane = 0; lane < Vector512<float>.Count; lane++) result = MathF.Max(result, largest[lane]);
        for (; i < count; i++) result = MathF.Max(result, Single(x[i]));
        return result;
    }

    /// <summary>x becomes e^(scale·x − less), rounded.</summary>
    /// <returns>Their sum.</returns>
    public static float Exponentiate(ushort* x, int count, float scale, float less)
    {
        var (scales, lesses, sums) = (Vector512.Create(scale), Vector512.Create(-less), Vector512<float>.Zero);
        var i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            var (low, high) = Load(x + i);
            low = Exp(Vector512.FusedMultiplyAdd(low, scales, lesses));
            high = Exp(Vector512.FusedMultiplyAdd(high, scales, lesses));
            sums += low + high;
            Store(low, high, x + i);
        }
        var sum = Vector512.Sum(sums);
        for (; i < count; i++)
        {
            var e = MathF.Exp(Single(x[i]) * scale - less);
            sum += e;
            x[i] = Half(e);
        }
        return sum;
    }

    /// <summary>dp becomes scale·p·(dp − Σ p·dp).</summary>
    public static void SoftmaxBackward(ushort* p, ushort* dp, int count, float scale)
    {
        var mean = Dot(p, dp, count);
        var (scales, means) = (Vector512.Create(scale), Vector512.Create(mean));
        var i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            var ((pLow, pHigh), (dLow, dHigh)) = (Load(p + i), Load(dp + i));
            Store(scales * pLow * (dLow - means), scales * pHigh * (dHigh - means), dp + i);
        }
        for (; i < count; i++) dp[i] = Half(scale * Single(p[i]) * (Single(dp[i]) - mean));
    }

    /// <summary>y = x·factor.</summary>
    public static void Scale(ushort* x, float factor, ushort* y, int count)
    {
        var factors = Vector512.Create(factor);
        var i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            var (low, high) = Load(x + i);
            Store(low * factors, high * factors, y + i);
        }
        for (; i < count; i++) y[i] = Half(Single(x[i]) * factor);
    }

    /// <summary>sum += x.</summary>
    public static void Add(ushort* x, float* sum, int count)
    {
        var i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            var (low, high) = Load(x + i);
            Vector512.Store(Vector512.Load(sum + i) + low, sum + i);
            Vector512.Store(Vector512.Load(sum + i + (Lanes / 2)) + high, sum + i + (Lanes / 2));
        }
        for (; i < count; i++) sum[i] += Single(x[i]);
    }

    private static float Dot(ushort* x, ushort* y, int count)
    {
        var sums = Vector512<float>.Zero;
        var i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            var ((xLow, xHigh), (yLow, yHigh)) = (Load(x + i), Load(y + i));
            sums = Vector512.FusedMultiplyAdd(xLow, yLow, Vector512.FusedMultiplyAdd(xHigh, yHigh, sums));
        }
        var sum = Vector512.Sum(sums);
        for (; i < count; i++) sum += Single(x[i]) * Single(y[i]);
        return sum;
    }

    /// <summary>e^x within 3e-6 relative: 2^n by the exponent's bits, 2^f of the rest by Taylor's series. Never below 2^-126.</summary>
    private static Vector512<float> Exp(Vector512<float> x)
    {
        var power = Vector512.MaxNative(Vector512.Create(-126f), x * float.Log2(float.E));
        var whole = Vector512.Round(power);
        var rest = (power - whole) * MathF.Log(2);
        var series = Vector512.FusedMultiplyAdd(rest, Vector512.Create(1 / 120f), Vector512.Create(1 / 24f));
        series = Vector512.FusedMultiplyAdd(series, rest, Vector512.Create(1 / 6f));
        series = Vector512.FusedMultiplyAdd(series, rest, Vector512.Create(1 / 2f));
        series = Vector512.FusedMultiplyAdd(series, rest, Vector512<float>.One);
        series = Vector512.FusedMultiplyAdd(series, rest, Vector512<float>.One);
        return series * ((Vector512.ConvertToInt32Native(whole) + Vector512.Create(127)) << 23).AsSingle();
    }

    private static (Vector512<float> Low, Vector512<float> High) Load(ushort* x)
    {
        var (low, high) = Vector512.Widen(Vector512.Load(x));
        return ((low << 16).AsSingle(), (high << 16).AsSingle());
    }

    private static void Store(Vector512<float> low, Vector512<float> high, ushort* x) =>
        Vector512.Store(Vector512.Narrow(Rounded(low), Rounded(high)), x);

    /// <summary>The upper half's bits, rounded to nearest, ties to even.</summary>
    private static Vector512<uint> Rounded(Vector512<float> x)
    {
        var bits = x.AsUInt32();
        return (bits + Vector512.Create(0x7FFFu) + ((bits >> 16) & Vector512<uint>.One)) >> 16;
    }

    private static float Single(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    private static ushort Half(float x)
    {
        var bits = BitConverter.SingleToUInt32Bits(x);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
