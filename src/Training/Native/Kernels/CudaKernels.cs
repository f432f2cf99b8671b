using System.Collections.Concurrent;
using System.Reflection;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native.Kernels;

/// <summary>
/// Our own kernels on one device, for one 16-bit type: what libtorch does in several passes over memory, in one. Each computes in float32
/// and must equal its plain form (<see cref="PlainKernels"/>) to the rounding of its output. Shapes: T rows, D width, F inner width.
/// Tensors are contiguous and on the device; nothing here is seen by autograd.
/// </summary>
internal sealed class CudaKernels : ILayerKernels
{
    /// <summary>16-bit numbers that travel together: widths are multiples of it.</summary>
    public const int Vector = 8;

    /// <summary>Compute capability 9: libtorch has products with a scale for each row for it, and it is where they were timed.</summary>
    public const int LeastFp8Capability = 9;

    private const int Block = 256;

    private static readonly ConcurrentDictionary<(int Device, ScalarType Type), CudaKernels> Made = new();

    private readonly IKernelModule _module;
    private readonly int _processors;

    /// <param name="processors">Multiprocessors of the device: how many blocks keep it busy.</param>
    internal CudaKernels(IKernelModule module, int processors) => (_module, _processors) = (module, processors);

    /// <summary>
    /// Whether a device can have them: flash attention and bf16 are of compute capability 8.0, and the compiler must be beside libtorch.
    /// </summary>
    public static bool AreAvailable(Device device) =>
        device.type == DeviceType.CUDA && Cuda.Capability(device.index).Major >= 8 && Nvrtc.IsPresent;

    /// <summary>Compiled on first use, or read from where an earlier process left them.</summary>
    /// <param name="device">A CUDA device that already holds a tensor of the calling thread.</param>
    /// <param name="type">BFloat16 or Float16.</param>
    /// <exception cref="CudaException">The compiler or the driver refused.</exception>
    public static CudaKernels Of(Device device, ScalarType type) =>
        Made.GetOrAdd((device.index, type), key => Make(key.Device, key.Type));

    public (Tensor H, Tensor Y, Tensor ReciprocalRms) RmsNorm(Tensor x_TD, Tensor? residual_TD, Tensor weight_D, double epsilon)
    {
        var (rows, width) = (x_TD.shape[0], x_TD.shape[1]);
        var (h, y, rstd) = (residual_TD is null ? x_TD : empty_like(x_TD), empty_like(x_TD), empty(rows, ScalarType.Float32, x_TD.device));
        _module.Launch("rms_norm", rows, (int)(width / Vector), P(x_TD), P(residual_TD), P(weight_D), P(h), P(y), P(rstd),
            (ulong)(width / Vector), F(epsilon));
        return (h, y, rstd);
    }

    public Tensor RmsNormBackward(
        Tensor dy_TD, Tensor h_TD, Tensor weight_D, Tensor reciprocalRms_T, Tensor? dResidual_TD, Tensor? dWeight_D)
    {
        var (rows, width) = (h_TD.shape[0], h_TD.shape[1]);
        var blocks = Math.Min(rows, 2L * _processors);
        var dx = empty_like(h_TD);
        using var parts = dWeight_D is null ? null : empty([1, blocks, width], ScalarType.Float32, h_TD.device);
        _module.Launch("rms_norm_backward", blocks, (int)(width / Vector), P(dy_TD), P(h_TD), P(weight_D), P(reciprocalRms_T),
            P(dResidual_TD), P(dx), P(parts), (ulong)rows, (ulong)(width / Vector));
        if (dWeight_D is not null) AddColumns(parts!, 0, dWeight_D);
        return dx;
    }

    public (Tensor H, Tensor Y, Tensor Mean, Tensor ReciprocalDeviation) LayerNorm(
        Tensor x_TD, Tensor? residual_TD, Tensor weight_D, Tensor bias_D, double epsilon)
    {
        var (rows, width, device) = (x_TD.shape[0], x_TD.shape[1], x_TD.device);
        var (h, y) = (residual_TD is null ? x_TD : empty_like(x_TD), empty_like(x_TD));
        var (mean, rstd) = (empty(rows, ScalarType.Float32, device), empty(rows, ScalarType.Float32, device));
        _module.Launch("layer_norm", rows, (int)(width / Vector), P(x_TD), P(residual_TD), P(weight_D), P(bias_D), P(h), P(y), P(mean),
            P(rstd), (ulong)(width / Vector), F(epsilon));
        return (h, y, mean, rstd);
    }

    public Tensor LayerNormBackward(Tensor dy_TD, Tensor h_TD, Tensor weight_D, Tensor mean_T, Tensor reciprocalDeviation_T,
        Tensor dResidual_TD, Tensor? dWeight_D, Tensor? dBias_D)
    {
        var (rows, width) = (h_TD.shape[0], h_TD.shape[1]);
        var blocks = Math.Min(rows, 2L * _processors);
        var dx = empty_like(h_TD);
        using var parts = dWeight_D is null && dBias_D is null ? null : empty([2, blocks, width], ScalarType.Float32, h_TD.device);
        _module.Launch("layer_norm_backward", parts is null ? rows : blocks, (int)(width / Vector), P(dy_TD), P(h_TD), P(weight_D),
            P(mean_T), P(reciprocalDeviation_T), P(dResidual_TD), P(dx), P(parts), (ulong)rows, (ulong)(width / Vector));
        if (dWeight_D is not null) AddColumns(parts!, 0, dWeight_D);
        if (dBias_D is not null) AddColumns(parts!, 1, dBias_D);
        return dx;
    }

    public Tensor SwiGlu(Tensor gateUp_T2F)
    {
        var (rows, inner) = (gateUp_T2F.shape[0], gateUp_T2F.shape[1] / 2);
        var a = empty([rows, inner], gateUp_T2F.dtype, gateUp_T2F.device);
        Stride("swiglu", rows * inner / Vector, P(gateUp_T2F), P(a), (ulong)(inner / Vector), (ulong)(rows * inner / Vector));
        return a;
    }

    public Tensor? SwiGluBackward(Tensor gateUp_T2F, Tensor d_TF, bool again)
    {
        var inner8 = d_TF.shape[1] / Vector;
        var a = again ? empty_like(d_TF) : null;
        Stride("swiglu_backward", d_TF.numel() / Vector, P(gateUp_T2F), P(d_TF), P(gateUp_T2F), P(a),
            (ulong)inner8, (ulong)(d_TF.numel() / Vector));
        return a;
    }

    public Tensor QuickGelu(Tensor x)
    {
        var y = empty_like(x);
        Stride("quick_gelu", x.numel() / Vector, P(x), P(y), (ulong)(x.numel() / Vector));
        return y;
    }

    public void QuickGeluBackward(Tensor x, Tensor d) =>
        Stride("quick_gelu_backward", x.numel() / Vector, P(x), P(d), P(d), (ulong)(x.numel() / Vector));

    public void Rotate(Tensor x_TC, Tensor cos, Tensor sin, int heads)
    {
        var half8 = cos.shape[^1] / 2 / Vector;
        var n = x_TC.shape[0] * heads * half8;
        Stride("rope", n, P(x_TC), P(cos), P(sin), (ulong)(x_TC.shape[1] / Vector), (ulong)heads, (ulong)half8, (ulong)n);
    }

    public Tensor RotateBack(Tensor dq_THS, Tensor dk_TKS, Tensor dv_TKS, Tensor cos, Tensor sin)
    {
        var (rows, heads, kvHeads, half8) = (dq_THS.shape[0], dq_THS.shape[1], dk_TKS.shape[1], cos.shape[^1] / 2 / Vector);
        var dx = empty([rows, (heads + 2 * kvHeads) * cos.shape[^1]], dq_THS.dtype, dq_THS.device);
        var n = rows * (heads + 2 * kvHeads) * half8;
        using var q = dq_THS.contiguous(); // as they are: no kernel leaves them otherwise
        using var k = dk_TKS.contiguous();
        using var v = dv_TKS.contiguous();
        Stride("rope_backward", n, P(q), P(k), P(v), P(dx), P(cos), P(sin), (ulong)heads, (ulong)kvHeads, (ulong)half8, (ulong)n);
        return dx;
    }

    public int LengthMultiple { get; init; } = 1;

    public Attended Attend(Tensor q_THS, Tensor k_TKS, Tensor v_TKS, SequenceBounds bounds, bool causal, double scale) =>
        LengthMultiple > 1 && PlannedAttention.IsWorthIt(q_THS, k_TKS, bounds, causal, LengthMultiple)
            ? PlannedAttention.Attend(q_THS, k_TKS, v_TKS, bounds, causal, scale)
            : FlashAttention.Attend(q_THS, k_TKS, v_TKS, bounds, causal, scale);

    public void AccumulateProduct(Tensor sum_NK, Tensor dy_TN, Tensor x_TK, double scale = 1) =>
        CublasProduct.Accumulate(sum_NK, dy_TN, x_TK, scale);

    public bool HasFp8 { get; init; }

    public Fp8Rows Quantize(Tensor x_TK)
    {
        var (rows, width) = (x_TK.shape[0], x_TK.shape[1]);
        var (bytes, scales) = (
            empty([rows, width], ScalarType.Byte, x_TK.device), empty([rows, 1], ScalarType.Float32, x_TK.device));
        _module.Launch("quantize_rows", rows, Block, P(x_TK), P(bytes), P(scales), (ulong)(width / Vector));
        return new(bytes, scales);
    }

    public Tensor Product(Fp8Rows x_TK, Fp8Rows w_NK, ScalarType type, bool fast) => Fp8Rows.Product(x_TK, w_NK, type, fast);

    /// <summary>
    /// Whether optimizer kernels can take a range: 16-byte loads need numbers in fours, and their 16-bit copies in eights.
    /// </summary>
    public static bool CanTake(long offset, long count) => offset % Vector == 0 && count % Vector == 0;

    /// <summary>Unpacks 4-bit numbers; see the kernel for the layout.</summary>
    public void Nf4(Tensor packed, Tensor? codes, Tensor? codebook, Tensor absmax, Tensor? offset, Tensor result) =>
        Stride("nf4", result.numel() / Vector, P(packed), P(codes), P(codebook), P(absmax), P(offset), P(result),
            (ulong)(result.numel() / Vector));

    /// <summary>One AdamW step of float32 values, in place, and their 16-bit copies where there are some.</summary>
    /// <param name="step">From 1.</param>
    public void AdamW(Tensor values, Tensor gradients, Tensor first, Tensor second, Tensor? copies, double gradientScale,
        double learningRate, double decay, double beta1, double beta2, double epsilon, long step) =>
        Stride("adamw", values.numel() / 4, P(values), P(gradients), P(first), P(second), P(copies), F(gradientScale),
            F(learningRate), F(decay), F(beta1), F(beta2), F(epsilon), F(1 - Math.Pow(beta1, step)),
            F(1 / Math.Sqrt(1 - Math.Pow(beta2, step))), (ulong)(values.numel() / 4));

    /// <summary>Σ g² in float64, in a fixed order: [1]-tensors stay on the device until asked.</summary>
    public Tensor SquareSum(Tensor gradients)
    {
        using var parts = empty(8L * _processors, ScalarType.Float64, gradients.device);
        _module.Launch("square_sums", 8L * _processors, Block, P(gradients), P(parts), (ulong)(gradients.numel() / 4));
        return parts.sum();
    }

    /// <param name="parts">[kinds, rows, columns].</param>
    private void AddColumns(Tensor parts, int kind, Tensor sum)
    {
        var (rows, columns) = (parts.shape[1], parts.shape[2]);
        using var own = parts.select(0, kind);
        _module.Launch("column_sums", (columns + Block - 1) / Block, Block, P(own), P(sum), (ulong)rows, (ulong)columns, 1);
    }

    private void Stride(string kernel, long items, params ReadOnlySpan<ulong> arguments) =>
        _module.Launch(kernel, Math.Min((items + Block - 1) / Block, 16L * _processors), Block, arguments);

    private static ulong P(Tensor? tensor) => tensor is null ? 0 : (ulong)TensorMemory.Pointer(tensor);

    private static ulong F(double number) => BitConverter.SingleToUInt32Bits((float)number);

    private static CudaKernels Make(int device, ScalarType type)
    {
        var (major, minor) = Cuda.Capability(device);
        string[] defines = type == ScalarType.Float16 ? ["FP16"] : [];
        return new(new CudaModule(device, Nvrtc.Compile(Source(), $"sm_{major}{minor}", defines)), Cuda.ProcessorCount(device))
        {
            LengthMultiple = major >= PlannedAttention.LeastCapability ? PlannedAttention.Tile : 1,
            HasFp8 = major >= LeastFp8Capability,
        };
    }

    /// <summary>All kernels, one file's after the other's.</summary>
    internal static string Source()
    {
        var assembly = Assembly.GetExecutingAssembly();
        var files = assembly.GetManifestResourceNames()
            .Where(name => name.EndsWith(".cu", StringComparison.Ordinal) && name != "common.cu").Order().Prepend("common.cu");
        return string.Join('\n', files.Select(Read));

        string Read(string name)
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
            return reader.ReadToEnd();
        }
    }
}
