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

    /// <summary>silu(gate)·up of [T, 2F] → [T, F].</summary>
    Tensor SwiGlu(Tensor gateUp_T2F);

    /// <summary>Overwrites gate and up with their gradients.</summary>
    /// <returns>silu(gate)·up again where asked for.</returns>
    Tensor? SwiGluBackward(Tensor gateUp_T2F, Tensor d_TF, bool again);

    /// <summary>x·σ(1.702x).</summary>
    Tensor QuickGelu(Tensor x);

    /// <summary>Overwrites <paramref name="d"/> with the gradient of x.</summary>
    void QuickGeluBackward(Tensor x, Tensor d);

    /// <summary>Rotates the first <paramref name="heads"/> heads of each row of [T, columns] in place, or back.</summary>
    /// <param name="cos">[T, 1, S] in the type of x, as <paramref name="sin"/>, which carries the sign of rotate-half.</param>
    void Rotate(Tensor x_TC, Tensor cos, Tensor sin, int heads, bool back);

    /// <summary>softmax(q·kᵀ·scale)·v, each sequence for itself.</summary>
    /// <param name="k_TKS">May have fewer heads than q, as <paramref name="v_TKS"/>. All three may be slices of one packed tensor.</param>
    AttentionState Attend(Tensor q_THS, Tensor k_TKS, Tensor v_TKS, SequenceBounds bounds, bool causal, double scale);

    /// <summary>The gradients of q, k and v.</summary>
    (Tensor Q, Tensor K, Tensor V) AttendBackward(AttentionState state, Tensor q_THS, Tensor k_TKS, Tensor v_TKS, Tensor d_THS);

    /// <summary>sum += scale·dyᵀ·x, the gradient of a matrix.</summary>
    /// <param name="sum_NK">Float32.</param>
    void AccumulateProduct(Tensor sum_NK, Tensor dy_TN, Tensor x_TK, double scale = 1);
}

/// <summary>Where sequences laid end to end begin and end.</summary>
/// <param name="Cumulative">[sequences + 1] int32 on the device.</param>
/// <param name="Longest">Tokens.</param>
internal sealed record SequenceBounds(Tensor Cumulative, long Longest)
{
    public static SequenceBounds Of(IEnumerable<long> lengths, Device device)
    {
        var (ends, longest) = (new List<int> { 0 }, 0L);
        foreach (var length in lengths)
        {
            ends.Add(ends[^1] + (int)length);
            longest = Math.Max(longest, length);
        }
        return new(tensor(ends.ToArray(), device: device), longest);
    }
}

/// <summary>What attention's backward needs besides q, k and v.</summary>
/// <param name="Output">[T, H, S].</param>
/// <param name="Kept">Whatever else the kernels want back, the output among it; the tape keeps these.</param>
internal sealed record AttentionState(Tensor Output, IReadOnlyList<Tensor> Kept, SequenceBounds Bounds, bool Causal, double Scale);
