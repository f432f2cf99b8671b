using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
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
    private readonly ILayerKernels? _kernels;

    public ClipTower(VisionConfig config, ModelWeights weights, ComputeOptions options)
    {
        (_config, _checkpointing) = (config, options.Checkpointing);
        _class_D = weights[Phi3VWeights.Tower + "embeddings.class_embedding"];
        _patches_D3KK = weights[Phi3VWeights.Tower + "embeddings.patch_embedding.weight"];
        _positions_PD = weights[Phi3VWeights.Tower + "embeddings.position_embedding.weight"];
        _norm = weights.LayerNorm(Phi3VWeights.Tower + "pre_layrnorm", config.LayerNormEpsilon);
        if (options.Attention == AttentionKernel.Fused)
            _kernels = options.Kernels
                ?? LayerKernels.For(_class_D.device, _class_D.dtype, config.HiddenSize, config.IntermediateSize, config.HeadSize);
        _layers =
        [
            .. Enumerable.Range(0, config.LayerCount - 1)
                .Select(i => new ClipLayer(config, weights, Phi3VWeights.TowerLayer(i), options.Attention, _kernels)),
        ];
    }

    public bool IsTrained => EmbeddingIsTrained || _layers.Any(layer => layer.IsTrained);

    private bool EmbeddingIsTrained =>
        _class_D.requires_grad || _patches_D3KK.requires_grad || _positions_PD.requires_grad || _norm.IsTrained;

    /// <param name="crops_N3II">I pixels a side, 336; float32, normalised as CLIP's are.</param>
    /// <returns>[N·P, D].</returns>
    public Tensor Forward(LayerTape tape, Tensor crops_N3II, DropoutRows? dropout)
    {
        var x = tape.Run(crops_N3II, new(Embed, EmbeddingIsTrained) { Unit = Phi3VWeights.TowerEmbeddingUnit });
        var bounds = _kernels is null
            ? null
            : SequenceBounds.Of(Enumerable.Repeat((long)_config.PositionCount, (int)crops_N3II.shape[0]), x.device);
        foreach (var layer in _layers) x = layer.Run(tape, x, bounds, dropout, _checkpointing);
        return x;
    }

    private Tensor Embed(Tensor crops_N3II)
    {
        long crops = crops_N3II.shape[0], size = _config.PatchSize, width = _config.HiddenSize;
        var pixels = crops_N3II.to_type(_patches_D3KK.dtype);
        var patches = pixels.device_type == DeviceType.CPU
            ? nn.functional.conv2d(pixels, _patches_D3KK, strides: [size, size]).flatten(2).transpose(1, 2)
            : PatchProduct(pixels).view(crops, -1, width);
        var x = cat([_class_D.expand(crops, 1, width), patches], 1).Plus(_positions_PD);
        return _norm.Forward(x.view(-1, width));
    }

    /// <summary>
    /// The convolution as one product over patches laid out as rows, their 588 numbers padded to a multiple of 8: what matrix units take
    /// at full speed.
    /// </summary>
    private Tensor PatchProduct(Tensor pixels_N3II)
    {
        long size = _config.PatchSize, grid = _config.GridSize, numbers = 3 * size * size, padding = -numbers & 7;
        var rows = pixels_N3II.view(-1, 3, grid, size, grid, size).permute(0, 2, 4, 1, 3, 5).reshape(-1, numbers);
        var weight = _patches_D3KK.view(-1, numbers);
        return nn.functional.linear(nn.functional.pad(rows, [0, padding]), nn.functional.pad(weight, [0, padding]));
    }
}

/// <summary>One pre-norm block of the tower: a crop's positions all attend to each other; the MLP has CLIP's quick GELU.</summary>
internal sealed class ClipLayer
{
    private const double GeluSlope = 1.702;

    private readonly VisionConfig _config;
    private readonly AttentionKernel _kernel;
    private readonly string _unit;
    private readonly ClipMaps _maps;
    private readonly ClipLayerByHand? _byHand;

    /// <param name="name">Of the layer, with its dot.</param>
    /// <param name="kernels">Null leaves backward to autograd.</param>
    public ClipLayer(VisionConfig config, ModelWeights weights, string name, AttentionKernel kernel, ILayerKernels? kernels)
    {
        (_config, _kernel, _unit) = (config, kernel, Phi3VWeights.UnitOf(name));
        Linear Map(string map) => weights.Linear(name + map, hasBias: true);
        LayerNorm Norm(string norm) => weights.LayerNorm(name + norm, config.LayerNormEpsilon);
        _maps = new(
            Norm("layer_norm1"), Map("self_attn.q_proj"), Map("self_attn.k_proj"), Map("self_attn.v_proj"), Map("self_attn.out_proj"),
            Norm("layer_norm2"), Map("mlp.fc1"), Map("mlp.fc2"));
        if (kernels is not null && ((Linear[])[_maps.Q, _maps.K, _maps.V, _maps.Out, _maps.Fc1, _maps.Fc2]).All(map => map.CanGoByHand))
            _byHand = new(config, _maps, kernels);
    }

    public bool IsTrained => AttentionIsTrained || MlpIsTrained;

    private bool AttentionIsTrained =>
        _maps.Norm1.IsTrained || ((Linear[])[_maps.Q, _maps.K, _maps.V, _maps.Out]).Any(map => map.IsTrained);

    private bool MlpIsTrained => _maps.Norm2.IsTrained || _maps.Fc1.IsTrained || _maps.Fc2.IsTrained;

    /// <param name="bounds">Of the crops, for layers by hand.</param>
    public Tensor Run(LayerTape tape, Tensor x_ND, SequenceBounds? bounds, DropoutRows? dropout, ActivationCheckpointing checkpointing)
    {
        if (_byHand is not null)
        {
            return tape.Run(x_ND, new(x => Mlp(Attend(x, dropout), dropout), IsTrained)
            {
                ByHand = x => _byHand.Run(x, bounds!, keepsMlp: checkpointing != ActivationCheckpointing.Selective),
                Recomputes = checkpointing == ActivationCheckpointing.Full,
                Unit = _unit,
            });
        }
        if (checkpointing == ActivationCheckpointing.Full)
            return tape.Run(x_ND, new(x => Mlp(Attend(x, dropout), dropout), IsTrained) { Recomputes = true, Unit = _unit });
        var h_ND = tape.Run(x_ND, new(x => Attend(x, dropout), AttentionIsTrained) { Unit = _unit });
        return tape.Run(h_ND, new(h => Mlp(h, dropout), MlpIsTrained)
        {
            Recomputes = checkpointing == ActivationCheckpointing.Selective,
            Unit = _unit,
        });
    }

    private Tensor Attend(Tensor x_ND, DropoutRows? dropout)
    {
        var normed = _maps.Norm1.Forward(x_ND);
        var attended = Attention.Full(
            _kernel, Heads(_maps.Q.Forward(normed, dropout)), Heads(_maps.K.Forward(normed, dropout)),
            Heads(_maps.V.Forward(normed, dropout)));
        return _maps.Out.ForwardAdd(attended.transpose(1, 2).reshape(x_ND.shape), x_ND, dropout);
    }

    private Tensor Mlp(Tensor h_ND, DropoutRows? dropout) =>
        _maps.Fc2.ForwardAdd(QuickGelu(_maps.Fc1.Forward(_maps.Norm2.Forward(h_ND), dropout)), h_ND, dropout);

    private Tensor Heads(Tensor x_ND) => x_ND.view(-1, _config.PositionCount, _config.HeadCount, _config.HeadSize).transpose(1, 2);

    /// <summary>x·sigmoid(1.702x), by way of silu, whose backward is one kernel.</summary>
    private static Tensor QuickGelu(Tensor x) => nn.functional.silu(x.Times(GeluSlope)).Times(1 / GeluSlope);
}
