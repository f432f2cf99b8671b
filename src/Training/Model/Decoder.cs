using Phi3VCluster.Spec;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>The decoder's layers, final norm and head. Shapes: L positions, R rows asked for, D width, V vocabulary.</summary>
internal sealed class Decoder : IDisposable
{
    private readonly Phi3VConfig _config;
    private readonly ActivationCheckpointing _checkpointing;
    private readonly DecoderLayer[] _layers;
    private readonly Tensor _norm;
    private readonly Linear _head;
    private readonly ILayerKernels? _kernels;

    public Decoder(Phi3VConfig config, ModelWeights weights, ComputeOptions options)
    {
        (_config, _checkpointing) = (config, options.Checkpointing);
        _norm = weights["model.norm.weight"];
        if (options.Attention == AttentionKernel.Fused)
            _kernels = options.Kernels
                ?? LayerKernels.For(_norm.device, _norm.dtype, config.HiddenSize, config.IntermediateSize, config.HeadSize);
        _layers =
        [
            .. Enumerable.Range(0, config.LayerCount)
                .Select(i => new DecoderLayer(config, weights, Phi3VWeights.DecoderLayer(i), options, _kernels)),
        ];
        if (options.Fp8 && !(_kernels is { HasFp8: true } && _layers.All(layer => layer.IsByHand)))
            throw new InputException("fp8: 8-bit products need a GPU of compute capability 9.0 (H100, H200), a PyTorch with NVRTC, bf16, "
                + "and adapters without DoRA and dropout; take fp8 out, or change what is missing.");
        _head = weights.Linear(Phi3VWeights.Head);
        Rope = new(config);
    }

    public Rope Rope { get; }

    public int LayerCount => _layers.Length;

    /// <summary>The length that a sequence in a pack is best filled up to, where that does not turn its positions otherwise.</summary>
    public int RoundedUp(int length)
    {
        var multiple = _kernels?.LengthMultiple ?? 1;
        var rounded = (length + multiple - 1) / multiple * multiple;
        return rounded <= _config.MaxPositions && Rope.IsLong(rounded) == Rope.IsLong(length) ? rounded : length;
    }

    /// <summary>A pass that computes the rows the pack asks for.</summary>
    public DecoderPass PassOver(SequencePack pack, Tensor x_LD) => new(pack, RopeFor(pack, x_LD), RowSelection.Of(pack, x_LD.device))
    {
        Bounds = _kernels is null ? null : SequenceBounds.Of(pack.Segments.Select(segment => segment.Length), x_LD.device),
    };

    /// <summary>The last layer's output at the pass's rows, [R, D]: it alone can leave the other positions out.</summary>
    public Tensor Forward(LayerTape tape, Tensor x_LD, DecoderPass pass)
    {
        for (var i = 0; i < _layers.Length; i++) x_LD = _layers[i].Run(tape, x_LD, pass, selects: i == _layers.Length - 1, _checkpointing);
        return x_LD;
    }

    /// <summary>Every layer's output at all positions of one sequence, without gradients.</summary>
    public IReadOnlyList<Tensor> ForwardAll(Tensor x_LD, long[] ids)
    {
        using var _ = no_grad();
        var pack = new SequencePack([(ids, [])]);
        var pass = new DecoderPass(pack, RopeFor(pack, x_LD), Selection: null);
        return [.. _layers.Select(layer => x_LD = layer.Forward(x_LD, pass, selects: false))];
    }

    /// <summary>The logits after the last of the new positions of each sequence, [sequences, V] float32, without gradients.</summary>
    /// <param name="x_LD">Embeddings of the new positions, sequence by sequence.</param>
    /// <param name="caches">One a layer for each sequence; hold its positions before, and are given the new ones.</param>
    /// <param name="added">New positions of each sequence.</param>
    /// <param name="stop">Ends it between two layers; the caches are of no use then.</param>
    public Tensor Continue(Tensor x_LD, IReadOnlyList<KeyValueCache[]> caches, IReadOnlyList<long> added, CancellationToken stop = default)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var pack = new SequencePack(added.Select(count => (new long[count], new[] { count - 1 })));
        var tables = caches.Zip(added, (own, count) => Rope.For(own[0].Length + count, own[0].Length, x_LD.dtype, x_LD.device));
        var selection = added.Any(count => count > 1) ? RowSelection.Of(pack, x_LD.device) : null;
        var pass = new DecoderPass(pack, RopeTable.Joined([.. tables]), selection);
        for (var i = 0; i < _layers.Length; i++)
        {
            stop.ThrowIfCancellationRequested();
            x_LD = _layers[i].Forward(x_LD, pass, selects: i == _layers.Length - 1, [.. caches.Select(own => own[i])]);
        }
        return Logits(x_LD).MoveToOuterDisposeScope();
    }

    /// <summary>Cross-entropy of each row of the last layer's output against its label, [R] float32.</summary>
    public Tensor Losses(LayerTape tape, Tensor x_RD, long[] labels_R, DropoutRows? dropout) =>
        tape.Run(x_RD, new(x => CrossEntropy(Logits(x, dropout), labels_R), _norm.requires_grad || _head.IsTrained)
        {
            Restore = _head.Restore,
            Unit = Phi3VWeights.UnitOf(Phi3VWeights.Head),
        });

    /// <summary>The final RMSNorm (Zhang and Sennrich, 2019), [R, D].</summary>
    public Tensor Norm(Tensor x_RD) => AtenOps.RmsNorm(x_RD, _norm, _config.RmsNormEpsilon);

    /// <summary>Of the last layer's output, which it norms first; [R, V] float32.</summary>
    public Tensor Logits(Tensor x_RD, DropoutRows? dropout = null) => _head.Forward(Norm(x_RD), dropout).to_type(ScalarType.Float32);

    public void Dispose()
    {
        foreach (var layer in _layers) layer.Dispose();
        Rope.Dispose();
    }

    private static Tensor CrossEntropy(Tensor logits_RV, long[] labels_R) =>
        nn.functional.cross_entropy(logits_RV, tensor(labels_R, device: logits_RV.device), reduction: nn.Reduction.None);

    /// <summary>Every sequence counts its positions from 0, and takes the factors that its own length asks for.</summary>
    private RopeTable RopeFor(SequencePack pack, Tensor x_LD)
    {
        if (pack.Segments.FirstOrDefault(segment => segment.Length > _config.MaxPositions) is { } tooLong)
            throw new ArgumentException($"the sequence has {tooLong.Length} tokens, the model takes {_config.MaxPositions}");
        return RopeTable.Joined([.. pack.Segments.Select(segment => Rope.For(segment.Length, 0, x_LD.dtype, x_LD.device))]);
    }
}
