using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native.Kernels;

// Shapes: T rows, D width, F inner width, N outputs, K inputs, H heads, S head size. Nothing here is seen by autograd.

/// <summary>What layers whose backward is written by hand are made of, matrix products aside: one set for each kind of device.</summary>
internal interface ILayerKernels
{
    /// <summary>y = h / rms(h) · weight, with h = x (+ residual).</summary>
    /// <returns>1/rms is [T] float32.</returns>
    (Tensor H, Tensor Y, Tensor ReciprocalRms) RmsNorm(Tensor x_TD, Tensor? residual_TD, Tensor weight_D, double epsilon);

    /// <summary>The gradient of h, plus <paramref name="dResidual_TD"/> where there is one.</summary>
    /// <param name="dWeight_D">Float32; the weight's gradient is added to it. Null where the weight is frozen.</param>
    Tensor RmsNormBackward(Tensor dy_TD, Tensor h_TD, Tensor weight_D, Tensor reciprocalRms_T, Tensor? dResidual_TD, Tensor? dWeight_D);

    /// <summary>y = (h − mean) / deviation · weight + bias, with h = x (+ residual).</summary>
    /// <returns>Mean and 1/deviation are [T] float32.</returns>
    (Tensor H, Tensor Y, Tensor Mean, Tensor ReciprocalDeviation) LayerNorm(
        Tensor x_TD, Tensor? residual_TD, Tensor weight_D, Tensor bias_D, double epsilon);

    /// <summary>The gradient of h, plus <paramref name="dResidual_TD"/>.</summary>
    /// <param name="dWeight_D">Float32; the weight's gradient is added to it. Null where the weight is frozen.</param>
    /// <param name="dBias_D">As <paramref name="dWeight_D"/>.</param>
    Tensor LayerNormBackward(Tensor dy_TD, Tensor h_TD, Tensor weight_D, Tensor mean_T, Tensor reciprocalDeviation_T, Tensor dResidual_TD,
        Tensor? dWeight_D, Tensor? dBias_D);

    /// <summary>silu(gate)·up of [T, 2F] → [T, F].</summary>
    Tensor SwiGlu(Tensor gateUp_T2F);

    /// <summary>Overwrites gate and up with their gradients.</summary>
    /// <returns>silu(gate)·up again where asked for.</returns>
    Tensor? SwiGluBackward(Tensor gateUp_T2F, Tensor d_TF, bool again);

    /// <summary>x·σ(1.702x).</summary>
    Tensor QuickGelu(Tensor x);

    /// <summary>Overwrites <paramref name="d"/> with the gradient of x.</summary>
    void QuickGeluBackward(Tensor x, Tensor d);

    /// <summary>Rotates the first <paramref name="heads"/> heads of each row of [T, columns] in place.</summary>
    /// <param name="cos">[T, 1, S] in the type of x, as <paramref name="sin"/>, which carries the sign of rotate-half.</param>
    void Rotate(Tensor x_TC, Tensor cos, Tensor sin, int heads);

    /// <summary>The gradients of q, k and v side by side in each row, [T, columns], the first two rotated back.</summary>
    Tensor RotateBack(Tensor dq_THS, Tensor dk_TKS, Tensor dv_TKS, Tensor cos, Tensor sin);

    /// <summary>softmax(q·kᵀ·scale)·v, each sequence for itself.</summary>
    /// <param name="k_TKS">May have fewer heads than q, as <paramref name="v_TKS"/>. All three may be slices of one packed tensor.</param>
    Attended Attend(Tensor q_THS, Tensor k_TKS, Tensor v_TKS, SequenceBounds bounds, bool causal, double scale);

    /// <summary>What sequences' lengths are best rounded up to, with positions nobody attends to; 1 where nothing is gained.</summary>
    int LengthMultiple { get; }

    /// <summary>sum += scale·dyᵀ·x, the gradient of a matrix.</summary>
    /// <param name="sum_NK">Float32.</param>
    void AccumulateProduct(Tensor sum_NK, Tensor dy_TN, Tensor x_TK, double scale = 1);

    /// <summary>Whether the device multiplies 8-bit numbers with a scale for each row.</summary>
    bool HasFp8 { get; }

    /// <summary>Rounds each row to 8 bits, its largest magnitude to the largest that there is.</summary>
    Fp8Rows Quantize(Tensor x_TK);

    /// <summary>x·wᵀ.</summary>
    /// <param name="fast">See <see cref="Fp8Rows.Product"/>.</param>
    Tensor Product(Fp8Rows x_TK, Fp8Rows w_NK, ScalarType type, bool fast);
}

/// <summary>Where sequences laid end to end begin and end.</summary>
/// <param name="Lengths">Tokens of each.</param>
/// <param name="Cumulative">[sequences + 1] int32 on the device.</param>
internal sealed record SequenceBounds(IReadOnlyList<long> Lengths, Tensor Cumulative)
{
    public long Longest { get; } = Lengths.Max();

    public static SequenceBounds Of(IEnumerable<long> lengths, Device device)
    {
        long[] all = [.. lengths];
        var ends = new int[all.Length + 1];
        for (var i = 0; i < all.Length; i++) ends[i + 1] = ends[i] + (int)all[i];
        return new(all, tensor(ends, device: device));
    }
}

/// <param name="Output">[T, H, S].</param>
/// <param name="Kept">All that <paramref name="Back"/> wants, the output among it; the tape keeps these.</param>
/// <param name="Back">From q, k, v as they were and the output's gradient to those of q, k and v.</param>
internal sealed record Attended(
    Tensor Output, IReadOnlyList<Tensor> Kept, Func<Tensor, Tensor, Tensor, Tensor, (Tensor Q, Tensor K, Tensor V)> Back);
