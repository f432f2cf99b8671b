using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>Rotary position embedding (Su and others, 2021) in the rotate-half form, scaled as <see cref="RopeScaling"/> says.</summary>
internal sealed class Rope(Phi3VConfig config) : IDisposable
{
    private const int TableStep = 256; // tables grow by this many positions, so that few are made over a run
    private readonly Dictionary<bool, RopeTable> _tables = [];

    /// <summary>Whether a sequence of this many positions is rotated with the long factors: keys rotated otherwise do not fit.</summary>
    public bool IsLong(long length) => config.RopeScaling is not null && length > config.OriginalMaxPositions;

    /// <summary>Rotation of positions from <paramref name="offset"/> on, in a sequence of <paramref name="length"/>.</summary>
    public RopeTable For(long length, long offset, ScalarType type, Device device)
    {
        var isLong = IsLong(length);
        if (!_tables.TryGetValue(isLong, out var table) || table.Length < length || table.Cos.dtype != type)
        {
            table?.Dispose();
            _tables[isLong] = table = Make((length + TableStep - 1) / TableStep * TableStep, isLong, type, device);
        }
        return new(table.Cos.narrow(0, offset, length - offset), table.Sin.narrow(0, offset, length - offset));
    }

    public void Dispose()
    {
        foreach (var table in _tables.Values) table.Dispose();
        _tables.Clear();
    }

    /// <summary>Everything in float32, step for step as the original, whose rounding shows at thousands of positions.</summary>
    private RopeTable Make(long length, bool isLong, ScalarType type, Device device)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var exponent = ScalarOps.Range(config.HeadSize, 2, ScalarType.Float32).div(tensor((float)config.HeadSize));
        var period = tensor((float)config.RopeTheta).pow(exponent);
        var scaling = config.RopeScaling;
        if (scaling is not null)
            period = tensor([.. (isLong ? scaling.LongFactors : scaling.ShortFactors).Select(f => (float)f)], ScalarType.Float32) * period;
        var angle = outer(ScalarOps.Range(length, 1, ScalarType.Float32), period.reciprocal());
        var (cos, sin, scale) = (angle.cos(), angle.sin(), Magnitude());
        // [L, 1, S]: sin carries the sign of rotate-half, so that a rotation is x·cos + swapped(x)·sin.
        return new(cat([cos, cos], 1).Times(scale).unsqueeze(1).to(type, device).DetachFromDisposeScope(),
            cat([sin.neg(), sin], 1).Times(scale).unsqueeze(1).to(type, device).DetachFromDisposeScope());
    }

    /// <summary>What cos and sin are multiplied by; see <see cref="RopeKind"/>.</summary>
    private double Magnitude()
    {
        var stretch = (double)config.MaxPositions / config.OriginalMaxPositions;
        if (config.RopeScaling is null || stretch <= 1) return 1;
        return config.RopeScaling.Kind == RopeKind.Yarn
            ? 0.1 * Math.Log(stretch) + 1
            : Math.Sqrt(1 + Math.Log(stretch) / Math.Log(config.OriginalMaxPositions));
    }
}

/// <summary>Rotation of some positions, [length, 1, head size] each.</summary>
internal sealed record RopeTable(Tensor Cos, Tensor Sin) : IDisposable
{
    public long Length => Cos.shape[0];

    /// <summary>Rotates every head of x [length, heads, head size].</summary>
    public Tensor Rotate(Tensor x) => x.mul(Cos).Plus(x.roll(x.shape[2] / 2, 2).mul(Sin));

    /// <summary>Tables of several sequences, one behind the other; in the current dispose scope.</summary>
    public static RopeTable Joined(IReadOnlyList<RopeTable> tables) => tables.Count == 1
        ? tables[0]
        : new(cat([.. tables.Select(table => table.Cos)], 0), cat([.. tables.Select(table => table.Sin)], 0));

    public void Dispose()
    {
        Cos.Dispose();
        Sin.Dispose();
    }
}
