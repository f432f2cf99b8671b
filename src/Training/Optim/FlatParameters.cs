using Phi3VCluster.Training.Native;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>A trained tensor's place in line.</summary>
/// <param name="Tensor">Name and shape.</param>
/// <param name="Decays">Whether weight decay applies.</param>
public sealed record FlatEntry(TensorInfo Tensor, bool Decays);

/// <summary>
/// All trained parameters as views of one float32 buffer, all gradients as views of another, in the given order. Reductions,
/// shards and snapshots are ranges of these two; the model sees ordinary leaf tensors. Lives until it is disposed, whatever scope it was
/// made in.
/// </summary>
public sealed class FlatParameters : IDisposable
{
    private readonly Dictionary<string, Parameter> _leaves = [];
    private readonly Dictionary<string, ShardRange> _slices = [];

    /// <param name="entries">In computation order; names differ.</param>
    /// <param name="device">Where both buffers live.</param>
    public FlatParameters(IReadOnlyList<FlatEntry> entries, Device device)
    {
        LibTorch.Load();
        Entries = entries;
        Count = entries.Sum(entry => entry.Tensor.ElementCount);
        Values = zeros(Count, ScalarType.Float32, device).DetachFromDisposeScope();
        Gradients = zeros(Count, ScalarType.Float32, device).DetachFromDisposeScope();
        long offset = 0;
        foreach (var (info, _) in entries)
        {
            var slice = new ShardRange(offset, info.ElementCount);
            if (!_slices.TryAdd(info.Name, slice))
                throw new ArgumentException($"two trained tensors are named {info.Name}", nameof(entries));
            _leaves.Add(info.Name, Leaf(info, slice));
            offset = slice.End;
        }
    }

    public IReadOnlyList<FlatEntry> Entries { get; }

    /// <summary>Elements of all trained tensors together.</summary>
    public long Count { get; }

    /// <summary>[<see cref="Count"/>], float32: the master values.</summary>
    public Tensor Values { get; }

    /// <summary>[<see cref="Count"/>], float32: what backward adds to.</summary>
    public Tensor Gradients { get; }

    /// <summary>The leaf of that name: requires grad, reads <see cref="Values"/>, its gradient adds to <see cref="Gradients"/>.</summary>
    public Tensor this[string name] => _leaves[name];

    /// <summary>Where a tensor lies in both buffers.</summary>
    public ShardRange Slice(string name) => _slices[name];

    /// <summary>The part of both buffers that <paramref name="rank"/> owns.</summary>
    public ShardRange Shard(int rank, int worldSize) => ShardRange.Of(Count, rank, worldSize);

    /// <summary>In place: setting the leaves' gradients to null would cut them from the buffer.</summary>
    public void ZeroGradients()
    {
        using var quiet = no_grad();
        using Scalar zero = 0.0;
        Gradients.fill_(zero); // zero_ would make a tensor more
    }

    public void Dispose()
    {
        foreach (var leaf in _leaves.Values) leaf.Dispose();
        Gradients.Dispose();
        Values.Dispose();
    }

    private Parameter Leaf(TensorInfo info, ShardRange slice)
    {
        using var scope = NewDisposeScope();
        var leaf = new Parameter(Values.narrow(0, slice.Offset, slice.Count).view(info.Shape).detach());
        leaf.grad = Gradients.narrow(0, slice.Offset, slice.Count).view(info.Shape).detach();
        leaf.DetachFromDisposeScope();
        return leaf;
    }
}
