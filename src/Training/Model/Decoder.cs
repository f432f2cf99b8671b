using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>The decoder's layers, final norm and head. Shapes: L positions, R rows asked for, D width, V vocabulary.</summary>
internal sealed class Decoder : IDisposable
{
    private readonly Phi3VConfig _config;
    private readonly DecoderLayer[] _layers;
    private readonly Tensor _norm;
    private readonly Linear _head;

    public Decoder(Phi3VConfig config, ModelWeights weights)
    {
        _config = config;
        _layers = [.. Enumerable.Range(0, config.LayerCount).Select(i => new DecoderLayer(config, weights, Phi3VWeights.DecoderLayer(i)))];
        _norm = weights["model.norm.weight"];
        _head = weights.Linear(Phi3VWeights.Head);
        Rope = new(config);
    }

    public Rope Rope { get; }

    public int LayerCount => _layers.Length;

    /// <summary>The last layer's output at <paramref name="rows"/>, [R, D]: it alone can leave the other positions out.</summary>
    public Tensor Forward(LayerTape tape, Tensor x_LD, long[] rows)
    {
        var rope = RopeFor(x_LD);
        var selection = RowSelection.Of(rows, x_LD.shape[0], x_LD.device);
        for (var i = 0; i < _layers.Length; i++)
        {
            var (layer, wanted) = (_layers[i], i == _layers.Length - 1 ? selection : null);
            x_LD = tape.Run(x_LD, layer.IsTrained, x => layer.Forward(x, rope, wanted));
        }
        return x_LD;
    }

    /// <summary>Every layer's output at all positions, without gradients.</summary>
    public IReadOnlyList<Tensor> ForwardAll(Tensor x_LD)
    {
        using var _ = no_grad();
        var rope = RopeFor(x_LD);
        return [.. _layers.Select(layer => x_LD = layer.Forward(x_LD, rope))];
    }

    /// <summary>The logits after the last of the new positions, [1, V] float32, without gradients.</summary>
    /// <param name="x_LD">Embeddings of the new positions.</param>
    /// <param name="caches">One a layer; hold the positions before, and are given the new ones.</param>
    public Tensor Continue(Tensor x_LD, KeyValueCache[] caches)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        long before = caches[0].Length, added = x_LD.shape[0];
        var rope = Rope.For(before + added, before, x_LD.dtype, x_LD.device);
        var last = added > 1 ? RowSelection.Last(added, x_LD.device) : null;
        for (var i = 0; i < _layers.Length; i++)
            x_LD = _layers[i].Forward(x_LD, rope, i == _layers.Length - 1 ? last : null, caches[i]);
        return Logits(x_LD).MoveToOuterDisposeScope();
    }

    /// <summary>Mean cross-entropy of the last layer's outputs against their labels, in float32; a scalar.</summary>
    public Tensor Loss(LayerTape tape, Tensor x_RD, long[] labels_R) => tape.Run(x_RD, _norm.requires_grad || _head.IsTrained,
        x => nn.functional.cross_entropy(Logits(x), tensor(labels_R, device: x.device)));

    public Tensor Norm(Tensor x_RD) => AtenOps.RmsNorm(x_RD, _norm, _config.RmsNormEpsilon);

    public Tensor Logits(Tensor x_RD) => _head.Forward(Norm(x_RD)).to_type(ScalarType.Float32);

    public void Dispose() => Rope.Dispose();

    private RopeTable RopeFor(Tensor x_LD)
    {
        var length = x_LD.shape[0];
        if (length > _config.MaxPositions)
            throw new ArgumentException($"the sequence has {length} tokens, the model takes {_config.MaxPositions}");
        return Rope.For(length, 0, x_LD.dtype, x_LD.device);
    }
}
