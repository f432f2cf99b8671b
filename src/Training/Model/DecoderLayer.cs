using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

// Shapes: L positions, R rows asked for (L, or fewer), D width, H heads of queries, K heads of keys and values, S head size.

/// <summary>One pre-norm block of the decoder.</summary>
internal sealed class DecoderLayer(Phi3VConfig config, ModelWeights weights, string name)
{
    private readonly Tensor _norm1 = weights[name + "input_layernorm.weight"];
    private readonly Tensor _norm2 = weights[name + "post_attention_layernorm.weight"];
    private readonly Linear _qkv = weights.Linear(name + "self_attn.qkv_proj");
    private readonly Linear _o = weights.Linear(name + "self_attn.o_proj");
    private readonly Linear _gateUp = weights.Linear(name + "mlp.gate_up_proj");
    private readonly Linear _down = weights.Linear(name + "mlp.down_proj");
    private readonly double _scale = 1 / Math.Sqrt(config.HeadSize);

    public bool IsTrained =>
        _norm1.requires_grad || _norm2.requires_grad || _qkv.IsTrained || _o.IsTrained || _gateUp.IsTrained || _down.IsTrained;

    /// <param name="x_LD">The new positions; with a cache, those before them are in it.</param>
    /// <param name="rows">Compute these positions only (the last layer: nobody needs the others); null for all.</param>
    /// <returns>[R, D].</returns>
    public Tensor Forward(Tensor x_LD, RopeTable rope, RowSelection? rows = null, KeyValueCache? cache = null)
    {
        var (q_LHS, k_LKS, v_LKS) = Project(AtenOps.RmsNorm(x_LD, _norm1, config.RmsNormEpsilon), rope);
        if (rows is not null) (x_LD, q_LHS) = (x_LD.index_select(0, rows.Positions), q_LHS.index_select(0, rows.Positions));
        var (k, v) = (Heads(k_LKS), Heads(v_LKS));
        if (cache is not null) (k, v) = cache.Append(k, v);
        var attended = AtenOps.Attention(Heads(q_LHS), k, v, rows?.Mask, causal: rows is null && q_LHS.shape[0] > 1, _scale,
            groupedQueries: config.KeyValueHeadCount != config.HeadCount);
        var h_RD = _o.ForwardAdd(attended.transpose(1, 2).reshape(x_LD.shape), x_LD);
        var gateUp = _gateUp.Forward(AtenOps.RmsNorm(h_RD, _norm2, config.RmsNormEpsilon)).chunk(2, 1);
        return _down.ForwardAdd(gateUp[1].mul(nn.functional.silu(gateUp[0])), h_RD);
    }

    private (Tensor Q_LHS, Tensor K_LKS, Tensor V_LKS) Project(Tensor x_LD, RopeTable rope)
    {
        long heads = config.HeadCount, kvHeads = config.KeyValueHeadCount, size = config.HeadSize;
        var packed = _qkv.Forward(x_LD).split([(heads + kvHeads) * size, kvHeads * size], 1);
        var rotated = rope.Rotate(packed[0].view(-1, heads + kvHeads, size)).split([heads, kvHeads], 1); // q and k in one go
        return (rotated[0], rotated[1], packed[1].view(-1, kvHeads, size));
    }

    private static Tensor Heads(Tensor x_LHS) => x_LHS.transpose(0, 1).unsqueeze(0);
}

/// <summary>Positions of a sequence whose outputs are wanted, and what each may attend to.</summary>
/// <param name="Positions">[R] int64.</param>
/// <param name="Mask">[R, L] bool, true where attended; null where the only row is the last one and sees everything.</param>
internal sealed record RowSelection(Tensor Positions, Tensor? Mask)
{
    public static RowSelection Of(long[] rows, long length, Device device)
    {
        var positions = tensor(rows, device: device);
        return new(positions, arange(length, device: device).unsqueeze(0).le(positions.unsqueeze(1)));
    }

    public static RowSelection Last(long length, Device device) => new(tensor([length - 1], device: device), null);
}
