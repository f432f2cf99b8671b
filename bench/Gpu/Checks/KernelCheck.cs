using System.Diagnostics;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Gpu.Checks;

/// <summary>
/// Every kernel of ours beside what libtorch computes in float32, on fresh random numbers, and how fast it goes through memory.
/// </summary>
internal sealed class KernelCheck : IGpuCheck
{
    private const long Tokens = 2443, Width = 3072, Inner = 8192, Heads = 32, Size = 96;
    private const double Rounding = 6e-3; // of a bf16 result

    public string Name => "kernels";

    public int Order => 3;

    public IEnumerable<GpuRow> Run()
    {
        GpuTensors.Begin();
        using var quiet = no_grad();
        using var first = GpuTensors.Random(ScalarType.Float32, 1);
        var start = Stopwatch.GetTimestamp();
        var kernels = CudaKernels.Of(GpuTensors.Gpu, ScalarType.BFloat16);
        yield return new("compile", true, FormattableString.Invariant($"{Stopwatch.GetElapsedTime(start).TotalSeconds:f2} s"));
        IEnumerable<GpuRow>[] checks =
            [Norm(kernels), LayerNorm(kernels), Activations(kernels), Rope(kernels), Optimizer(kernels)];
        foreach (var rows in checks)
            foreach (var row in rows) yield return row;
    }

    private static IEnumerable<GpuRow> Norm(CudaKernels kernels)
    {
        using var scope = NewDisposeScope();
        var (x, r, w) = (Bf(Tokens, Width), Bf(Tokens, Width), Bf(Width));
        var (h, y, rstd) = kernels.RmsNorm(x, r, w, 1e-5);
        var h32 = x.Plus(r).to_type(ScalarType.Float32);
        var expected = h32.mul(h32.square().mean([1], true).Plus(tensor(1e-5f, device: GpuTensors.Gpu)).rsqrt()).mul(w);
        yield return GpuTensors.Compare("residual", h, h32, 1e-6);
        yield return GpuTensors.Compare("rms norm", y, expected, Rounding);
        yield return Speed("rms norm with residual", 4 * Tokens * Width * 2, () => { var (a, b, c) = kernels.RmsNorm(x, r, w, 1e-5); });

        var (dy, dw) = (Bf(Tokens, Width), zeros(Width, ScalarType.Float32, GpuTensors.Gpu));
        using (enable_grad())
        {
            var leaf = h.to_type(ScalarType.Float32).detach().requires_grad_();
            var weight = w.to_type(ScalarType.Float32).detach().requires_grad_();
            autograd.backward([AtenOps.RmsNorm(leaf, weight, 1e-5)], [dy.to_type(ScalarType.Float32)]);
            var dx = kernels.RmsNormBackward(dy, h, w, rstd, null, dw);
            yield return GpuTensors.Compare("rms norm backward", dx, leaf.grad!, Rounding);
            yield return GpuTensors.Compare("rms norm weight gradient", dw, weight.grad!, 1e-3);
        }
        yield return Speed("rms norm backward", 4 * Tokens * Width * 2, () => kernels.RmsNormBackward(dy, h, w, rstd, x, dw));
    }

    private static IEnumerable<GpuRow> LayerNorm(CudaKernels kernels)
    {
        using var scope = NewDisposeScope();
        const long rows = 17 * 577, width = 1024;
        var plain = new PlainKernels();
        Tensor Wide(Tensor x) => x.to_type(ScalarType.Float32);
        var (x, r, w, b, dy) = (Bf(rows, width), Bf(rows, width), Bf(width), Bf(width), Bf(rows, width));
        var (h, y, mean, deviation) = kernels.LayerNorm(x, r, w, b, 1e-5);
        yield return GpuTensors.Compare("layer norm", y, plain.LayerNorm(Wide(h), null, Wide(w), Wide(b), 1e-5).Y, Rounding);
        Tensor Sum() => zeros(width, ScalarType.Float32, GpuTensors.Gpu);
        var (dw, db, dw32, db32) = (Sum(), Sum(), Sum(), Sum());
        var dx = kernels.LayerNormBackward(dy, h, w, mean, deviation, r, dw, db);
        var dx32 = plain.LayerNormBackward(Wide(dy), Wide(h), Wide(w), mean.unsqueeze(1), deviation.unsqueeze(1), Wide(r), dw32, db32);
        yield return GpuTensors.Compare("layer norm backward", dx, dx32, Rounding);
        yield return GpuTensors.Compare("layer norm weight and bias gradients", cat([dw, db], 0), cat([dw32, db32], 0), 1e-3);
        const long bytes = 4 * rows * width * 2;
        yield return Speed("layer norm with residual", bytes, () => { var (a, c, d, e) = kernels.LayerNorm(x, r, w, b, 1e-5); });
        yield return Speed("layer norm backward", bytes, () => kernels.LayerNormBackward(dy, h, w, mean, deviation, r, null, null));
    }

    private static IEnumerable<GpuRow> Activations(CudaKernels kernels)
    {
        using var scope = NewDisposeScope();
        var (gu, d) = (Bf(Tokens, 2 * Inner), Bf(Tokens, Inner));
        Tensor dgu32;
        using (enable_grad())
        {
            var leaf = gu.to_type(ScalarType.Float32).detach().requires_grad_();
            var parts = leaf.chunk(2, 1);
            var y = nn.functional.silu(parts[0]).mul(parts[1]);
            yield return GpuTensors.Compare("swiglu", kernels.SwiGlu(gu), y.detach(), Rounding);
            autograd.backward([y], [d.to_type(ScalarType.Float32)]);
            dgu32 = leaf.grad!;
            var copy = gu.clone();
            var again = kernels.SwiGluBackward(copy, d, again: true);
            yield return GpuTensors.Compare("swiglu backward", copy, dgu32, Rounding);
            yield return GpuTensors.Compare("swiglu again", again!, y.detach(), Rounding);

            var x = gu.to_type(ScalarType.Float32).detach().requires_grad_();
            var gelu = x.mul(x.Times(1.702).sigmoid());
            yield return GpuTensors.Compare("quick gelu", kernels.QuickGelu(gu), gelu.detach(), Rounding);
            var dg = Bf(Tokens, 2 * Inner);
            autograd.backward([gelu], [dg.to_type(ScalarType.Float32)]);
            kernels.QuickGeluBackward(gu, dg);
            yield return GpuTensors.Compare("quick gelu backward", dg, x.grad!, Rounding);
        }
        yield return Speed("swiglu", 3 * Tokens * Inner * 2, () => kernels.SwiGlu(gu));
        yield return Speed("swiglu backward", 6 * Tokens * Inner * 2, () => kernels.SwiGluBackward(gu, d, again: true));
    }

    private static IEnumerable<GpuRow> Rope(CudaKernels kernels)
    {
        using var scope = NewDisposeScope();
        var qkv = Bf(Tokens, 3 * Width);
        var angle = GpuTensors.Random(ScalarType.Float32, Tokens, Size / 2);
        var (cos, sin) = (angle.cos(), angle.sin());
        var table = (
            Cos: cat([cos, cos], 1).unsqueeze(1).to_type(ScalarType.BFloat16),
            Sin: cat([sin.neg(), sin], 1).unsqueeze(1).to_type(ScalarType.BFloat16));
        var x = qkv.narrow(1, 0, 2 * Width).view(Tokens, 2 * Heads, Size).to_type(ScalarType.Float32);
        var expected = x.mul(table.Cos).Plus(x.roll(Size / 2, 2).mul(table.Sin)).view(Tokens, 2 * Width);
        var (before, values) = (qkv.clone(), qkv.narrow(1, 2 * Width, Width).clone());
        kernels.Rotate(qkv, table.Cos, table.Sin, (int)(2 * Heads));
        yield return GpuTensors.Compare("rope", qkv.narrow(1, 0, 2 * Width), expected, Rounding);
        yield return GpuTensors.Compare("rope leaves values alone", qkv.narrow(1, 2 * Width, Width), values, 0);
        var parts = qkv.view(Tokens, 3 * Heads, Size).split([Heads, Heads, Heads], 1);
        Tensor Back(Tensor[] of) => kernels.RotateBack(of[0], of[1], of[2], table.Cos, table.Sin);
        yield return GpuTensors.Compare("rope and back", Back(parts), before, 1.5e-2);
        yield return Speed("rope", 4 * Tokens * Width * 2, () => kernels.Rotate(qkv, table.Cos, table.Sin, (int)(2 * Heads)));
        Tensor[] dense = [.. parts.Select(part => part.contiguous())];
        yield return Speed("rope backward", 6 * Tokens * Width * 2, () => Back(dense));
    }

    private static IEnumerable<GpuRow> Optimizer(CudaKernels kernels)
    {
        using var scope = NewDisposeScope();
        const long count = 64 << 20;
        Tensor Of() => GpuTensors.Random(ScalarType.Float32, count).mul(0.1f);
        var (p, g, m, v) = (Of(), Of(), Of(), Of().square());
        var (p2, g2, m2, v2, steps) = (p.clone(), g.Times(0.5), m.clone(), v.clone(), tensor(7f, device: GpuTensors.Gpu));
        var copies = empty(count, ScalarType.BFloat16, GpuTensors.Gpu);
        kernels.AdamW(p, g, m, v, copies, gradientScale: 0.5, 1e-3, 0.01, 0.9, 0.95, 1e-7, 7);
        AtenOps.FusedAdamW([p2], [g2], [m2], [v2], [steps], 1e-3, 0.9, 0.95, 0.01, 1e-7);
        yield return GpuTensors.Compare("adamw", p, p2, 1e-6);
        yield return GpuTensors.Compare("adamw moments", v, v2, 1e-6);
        yield return GpuTensors.Compare("adamw copies", copies, p2, Rounding);
        yield return Speed("adamw", 30 * count, () => kernels.AdamW(p, g, m, v, copies, 1, 1e-3, 0.01, 0.9, 0.95, 1e-7, 7));
        yield return GpuTensors.Compare("square sum", kernels.SquareSum(g), g.to_type(ScalarType.Float64).square().sum(), 1e-9);
        yield return Speed("square sum", 4 * count, () => kernels.SquareSum(g));
    }

    private static Tensor Bf(params long[] shape) => GpuTensors.Random(ScalarType.BFloat16, shape);

    private static GpuRow Speed(string what, long bytes, Action work)
    {
        var rate = bytes / GpuTensors.Seconds(work) / 1e9;
        return new(what, null, FormattableString.Invariant($"{rate:f0} GB/s"))
        {
            Numbers = new Dictionary<string, double> { ["gb_per_second"] = rate },
        };
    }
}
