using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

// Shapes: N crops · P positions (class token first) as rows, D width, H heads, S head size.

/// <summary>Crops → the input of the CLIP tower's last layer, [N·P, D]. That layer and what follows it are never run.</summary>
internal sealed class ClipTower
{
    private readonly VisionConfig _config;
    private readonly ActivationCheckpointing _checkpointing;
    private readonly Tensor _class_D, _patches_D3KK, _positions_PD;
    private readonly LayerNorm _norm;
    private readonly ClipLayer[] _layers;

    public ClipTower(VisionConfig config, ModelWeights weights, ModelOptions options)
    {
        (_config, _checkpointing) = (config, options.Checkpointing);
        _class_D = weights[Phi3VWeights.Tower + "embeddings.class_embedding"];
        _patches_D3KK = weights[Phi3VWeights.Tower + "embeddings.patch_embedding.weight"];
        _positions_PD = weights[Phi3VWeights.Tower + "embeddings.position_embedding.weight"];
        _norm = weights.LayerNorm(Phi3VWeights.Tower + "pre_layrnorm", config.LayerNormEpsilon);
        _layers =
        [
            .. Enumerable.Range(0, config.LayerCount - 1).Select(i => new ClipLayer(config, weights, Phi3VWeights.TowerLayer(i), options.Attention)),
        ];
    }

    public bool IsTrained => EmbeddingIsTrained || _layers.Any(layer => layer.IsTrained);

    private bool EmbeddingIsTrained =>
        _class_D.requires_grad || _patches_D3KK.requires_grad || _positions_PD.requires_grad || _norm.IsTrained;

    public Tensor Forward(LayerTape tape, Tensor crops_N3II, DropoutRows? dropout)
    {
        var x = tape.Run(crops_N3II, new(Embed, EmbeddingIsTrained) { Unit = Phi3VWeights.TowerEmbeddingUnit });
        foreach (var layer in _layers) x = layer.Run(tape, x, dropout, _checkpointing);
        return x;
    }

    private Tensor Embed(Tensor crops_N3II)
    {
        long crops = crops_N3II.shape[0], size = _config.PatchSize, width = _config.HiddenSize;
        var pixels = crops_N3II.to_type(_patches_D3KK.dtype);
        var patches = nn.functional.conv2d(pixels, _patches_D3KK, strides: [size, size]).flatten(2).transpose(1, 2);
        var x = cat([_class_D.expand(crops, 1, width), patches], 1).Plus(_positions_PD);
        return _norm.Forward(x.view(-1, width));
    }
}

internal sealed class ClipLayer(VisionConfig config, ModelWeights weights, string name, AttentionKernel kernel)
{
    private const double GeluSlope = 1.702;

    private readonly LayerNorm _norm1 = weights.LayerNorm(name + "layer_norm1", config.LayerNormEpsilon);
    private readonly LayerNorm _norm2 = weights.LayerNorm(name + "layer_norm2", config.LayerNormEpsilon);
    private readonly Linear _q = weights.Linear(name + "self_attn.q_proj", hasBias: true);
    private readonly Linear _k = weights.Linear(name + "self_attn.k_proj", hasBias: true);
    private readonly Linear _v = weights.Linear(name + "self_attn.v_proj", hasBias: true);
    private readonly Linear _out = weights.Linear(name + "self_attn.out_proj", hasBias: true);
    private readonly Linear _fc1 = weights.Linear(name + "mlp.fc1", hasBias: true);
    private readonly Linear _fc2 = weights.Linear(name + "mlp.fc2", hasBias: true);

    public bool IsTrained => AttentionIsTrained || MlpIsTrained;

    private bool AttentionIsTrained => _norm1.IsTrained || ((Linear[])[_q, _k, _v, _out]).Any(map => map.IsTrained);

    private bool MlpIsTrained => _norm2.IsTrained || _fc1.IsTrained || _fc2.IsTrained;

    public Tensor Run(LayerTape tape, Tensor x_ND, DropoutRows? dropout, ActivationCheckpointing checkpointing)
    {
        var unit = Phi3VWeights.UnitOf(name);
        if (checkpointing == ActivationCheckpointing.Full)
            return tape.Run(x_ND, new(x => Mlp(Attend(x, dropout), dropout), IsTrained) { Recomputes = true, Unit = unit });
        var h_ND = tape.Run(x_ND, new(x => Attend(x, dropout), AttentionIsTrained) { Unit = unit });
        return tape.Run(h_ND, new(h => Mlp(h, dropout), MlpIsTrained)
        {
            Recomputes = checkpointing == ActivationCheckpointing.Selective,
            Unit = unit,
        });
    }

    private Tensor Attend(Tensor x_ND, DropoutRows? dropout)
    {
        var normed = _norm1.Forward(x_ND);
        var attended = Attention.Full(
            kernel, Heads(_q.Forward(normed, dropout)), Heads(_k.Forward(normed, dropout)), Heads(_v.Forward(normed, dropout)));
        return _out.ForwardAdd(attended.transpose(1, 2).reshape(x_ND.shape), x_ND, dropout);
    }

    private Tensor Mlp(Tensor h_ND, DropoutRows? dropout) =>
        _fc2.ForwardAdd(QuickGelu(_fc1.Forward(_norm2.Forward(h_ND), dropout)), h_ND, dropout);

    private Tensor Heads(Tensor x_ND) => x_ND.view(-1, config.PositionCount, config.HeadCount, config.HeadSize).transpose(1, 2);

    /// <summary>x·sigmoid(1.702x), by way of silu, whose backward is one kernel.</summary>
    private static Tensor QuickGelu(Tensor x) => nn.functional.silu(x.Times(GeluSlope)).Times(1 / GeluSlope);
}
