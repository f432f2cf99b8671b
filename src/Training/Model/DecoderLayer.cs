using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

// Shapes: L positions of the pack, R rows asked for (L, or fewer), D width, H heads of queries, K heads of keys and values, S head size.

/// <summary>One pre-norm block of the decoder: h = x + attention(norm(x)), then h + mlp(norm(h)), a SwiGLU (Shazeer, 2020).</summary>
internal sealed class DecoderLayer : IDisposable
{
    private readonly Phi3VConfig _config;
    private readonly AttentionKernel _kernel;
    private readonly string _unit;
    private readonly Tensor _norm1, _norm2;
    private readonly Linear _qkv, _o, _gateUp, _down;
    private readonly DecoderLayerByHand? _byHand;
    private readonly List<IDisposable> _fp8Copies = [];

    /// <param name="name">Of the layer, with its dot.</param>
    /// <param name="kernels">Null leaves backward to autograd.</param>
    public DecoderLayer(Phi3VConfig config, ModelWeights weights, string name, ComputeOptions options, ILayerKernels? kernels)
    {
        (_config, _kernel, _unit) = (config, options.Attention, Phi3VWeights.UnitOf(name));
        (_norm1, _norm2) = (weights[name + "input_layernorm.weight"], weights[name + "post_attention_layernorm.weight"]);
        (_qkv, _o) = (weights.Linear(name + "self_attn.qkv_proj"), weights.Linear(name + "self_attn.o_proj"));
        (_gateUp, _down) = (weights.Linear(name + "mlp.gate_up_proj"), weights.Linear(name + "mlp.down_proj"));
        if (kernels is null || !((Linear[])[_qkv, _o, _gateUp, _down]).All(map => map.CanGoByHand)) return;
        _byHand = new(config, _norm1, _norm2, ByHand(_qkv), ByHand(_o), ByHand(_gateUp), ByHand(_down), kernels);

        Linear ByHand(Linear map) => options.Fp8 ? map.InFp8(kernels, _fp8Copies.Add) : map;
    }

    /// <summary>Whether backward is written out; what <see cref="ComputeOptions.Fp8"/> asks for is there only then.</summary>
    public bool IsByHand => _byHand is not null;

    private bool AttentionIsTrained => _norm1.requires_grad || _qkv.IsTrained || _o.IsTrained;

    private bool MlpIsTrained => _norm2.requires_grad || _gateUp.IsTrained || _down.IsTrained;

    /// <param name="selects">Compute the pass's selected rows only (the last layer: nobody needs the others).</param>
    /// <returns>[R, D].</returns>
    public Tensor Run(LayerTape tape, Tensor x_LD, DecoderPass pass, bool selects, ActivationCheckpointing checkpointing)
    {
        if (_byHand is not null && !(selects && pass.Selection is not null))
        {
            return tape.Run(x_LD, new(x => Forward(x, pass, selects: false), AttentionIsTrained || MlpIsTrained)
            {
                ByHand = x => _byHand.Run(x, pass, keepsMlp: checkpointing != ActivationCheckpointing.Selective),
                Recomputes = checkpointing == ActivationCheckpointing.Full,
                Unit = _unit,
            });
        }
        if (checkpointing == ActivationCheckpointing.Full)
        {
            return tape.Run(
                x_LD, new(x => Forward(x, pass, selects), AttentionIsTrained || MlpIsTrained) { Recomputes = true, Unit = _unit });
        }
        var h_RD = tape.Run(x_LD, new(x => Attend(x, pass, selects), AttentionIsTrained) { Restore = RestoreAttention, Unit = _unit });
        return tape.Run(h_RD, new(h => Mlp(h, pass, selects), MlpIsTrained)
        {
            Recomputes = checkpointing == ActivationCheckpointing.Selective,
            Restore = RestoreMlp,
            Unit = _unit,
        });
    }

    /// <summary>Both halves: [R, D] where it selects rows, else [L, D].</summary>
    /// <param name="caches">One a sequence; hold its positions before those of x, and are given them.</param>
    public Tensor Forward(Tensor x_LD, DecoderPass pass, bool selects, IReadOnlyList<KeyValueCache>? caches = null) =>
        Mlp(Attend(x_LD, pass, selects, caches), pass, selects);

    private Tensor Attend(Tensor x_LD, DecoderPass pass, bool selects, IReadOnlyList<KeyValueCache>? caches = null)
    {
        var (q_LHS, k_LKS, v_LKS) = Project(AtenOps.RmsNorm(x_LD, _norm1, _config.RmsNormEpsilon), pass);
        var selection = selects ? pass.Selection : null;
        if (selection is not null)
            (x_LD, q_LHS) = (x_LD.index_select(0, selection.Positions), q_LHS.index_select(0, selection.Positions));
        var parts = new Tensor[pass.Pack.Segments.Count];
        for (var i = 0; i < parts.Length; i++)
        {
            var segment = pass.Pack.Segments[i];
            var q = selection is null
                ? q_LHS.narrow(0, segment.Start, segment.Length)
                : q_LHS.narrow(0, segment.FirstRow, segment.Rows.Length);
            var (k, v) = (Heads(k_LKS.narrow(0, segment.Start, segment.Length)), Heads(v_LKS.narrow(0, segment.Start, segment.Length)));
            if (caches is not null) (k, v) = caches[i].Append(k, v);
            parts[i] = Attention.Causal(_kernel, Heads(q), k, v, selection?.Visible[i]).squeeze(0).transpose(0, 1);
        }
        var attended_RHS = parts.Length == 1 ? parts[0] : cat(parts, 0);
        return _o.ForwardAdd(attended_RHS.reshape(x_LD.shape), x_LD, selection is null ? pass.OfPositions : pass.OfRows);
    }

    private Tensor Mlp(Tensor h_RD, DecoderPass pass, bool selects)
    {
        var dropout = selects && pass.Selection is not null ? pass.OfRows : pass.OfPositions;
        var gateUp = _gateUp.Forward(AtenOps.RmsNorm(h_RD, _norm2, _config.RmsNormEpsilon), dropout).chunk(2, 1);
        return _down.ForwardAdd(gateUp[1].mul(nn.functional.silu(gateUp[0])), h_RD, dropout);
    }

    private (Tensor Q_LHS, Tensor K_LKS, Tensor V_LKS) Project(Tensor x_LD, DecoderPass pass)
    {
        long heads = _config.HeadCount, kvHeads = _config.KeyValueHeadCount, size = _config.HeadSize;
        var packed = _qkv.Forward(x_LD, pass.OfPositions).split([(heads + kvHeads) * size, kvHeads * size], 1);
        var rotated = pass.Rope.Rotate(packed[0].view(-1, heads + kvHeads, size)).split([heads, kvHeads], 1); // q and k in one go
        return (rotated[0], rotated[1], packed[1].view(-1, kvHeads, size));
    }

    public void Dispose() => _fp8Copies.ForEach(copies => copies.Dispose());

    private void RestoreAttention()
    {
        _qkv.Restore();
        _o.Restore();
    }

    private void RestoreMlp()
    {
        _gateUp.Restore();
        _down.Restore();
    }

    private static Tensor Heads(Tensor x_LHS) => x_LHS.transpose(0, 1).unsqueeze(0);
}
