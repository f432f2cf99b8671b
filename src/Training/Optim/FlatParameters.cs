using Phi3VCluster.Training.Native;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>A trained tensor's place in line.</summary>
/// <param name="Tensor">Name and shape.</param>
/// <param name="Decays">Whether weight decay applies.</param>
public sealed record FlatEntry(TensorInfo Tensor, bool Decays)
{
    /// <summary>Tensors of one unit stand together; their gradients are complete at the same moment of backward.</summary>
    public string Unit { get; init; } = "";

    /// <summary>Its learning rate is the schedule's times this.</summary>
    public double RateFactor { get; init; } = 1;

    /// <summary>It gets a gradient from images only: a step without any leaves it as it is, decay and moments included.</summary>
    public bool NeedsImages { get; init; }
}

/// <summary>
/// All trained parameters as views of one buffer, in the given order: what the model computes with. Reductions, shards and snapshots are
/// ranges of it; the model sees ordinary leaf tensors. Lives until it is disposed, whatever scope it was made in.
/// </summary>
public sealed class FlatParameters : IDisposable
{
    private readonly Dictionary<string, Parameter> _leaves = [];
    private readonly Dictionary<string, ShardRange> _slices = [];

    /// <param name="entries">In computation order; names differ.</param>
    /// <param name="device">Where the buffer lives.</param>
    /// <param name="type">The model's; where it is not float32, the optimizer keeps float32 masters of its shard.</param>
    public FlatParameters(IReadOnlyList<FlatEntry> entries, Device device, ScalarType type = ScalarType.Float32)
    {
        LibTorch.Load();
        Entries = entries;
        Count = entries.Sum(entry => entry.Tensor.ElementCount);
        Values = zeros(Count, type, device).DetachFromDisposeScope();
        long offset = 0;
        foreach (var entry in entries)
        {
            var slice = new ShardRange(offset, entry.Tensor.ElementCount);
            if (!_slices.TryAdd(entry.Tensor.Name, slice))
                throw new ArgumentException($"two trained tensors are named {entry.Tensor.Name}", nameof(entries));
            _leaves.Add(entry.Tensor.Name, Leaf(entry.Tensor, slice));
            offset = slice.End;
        }
    }

    public IReadOnlyList<FlatEntry> Entries { get; }

    /// <summary>Elements of all trained tensors together.</summary>
    public long Count { get; }

    /// <summary>[<see cref="Count"/>], in the model's type.</summary>
    public Tensor Values { get; }

    /// <summary>
    /// The leaf of that name: requires grad, reads <see cref="Values"/>; its gradient is where a <see cref="GradientStore"/> put it.
    /// </summary>
    public Tensor this[string name] => _leaves[name];

    /// <summary>Where a tensor lies in the buffer.</summary>
    public ShardRange Slice(string name) => _slices[name];

    /// <summary>The buffer cut where a new unit begins, in order.</summary>
    public IReadOnlyList<(string Unit, ShardRange Range)> Units()
    {
        var units = new List<(string Unit, ShardRange Range)>();
        foreach (var entry in Entries)
        {
            var slice = Slice(entry.Tensor.Name);
            if (units.Count > 0 && units[^1] is var (unit, range) && unit == entry.Unit)
                units[^1] = (unit, range with { Count = slice.End - range.Offset });
            else units.Add((entry.Unit, slice));
        }
        return units;
    }

    /// <summary>
    /// The buffer cut between units, in order, into parts of at least so many elements but for the first: what backward has done with in
    /// one go, and worth a sum of its own.
    /// </summary>
    public IReadOnlyList<ShardRange> Buckets(long least)
    {
        var buckets = new List<ShardRange>();
        var end = Count;
        foreach (var (_, unit) in Units().Reverse()) // backward goes from the last to the first
        {
            if (end - unit.Offset < least && unit.Offset > 0) continue;
            buckets.Add(new(unit.Offset, end - unit.Offset));
            end = unit.Offset;
        }
        buckets.Reverse();
        return buckets;
    }

    public void Dispose()
    {
        foreach (var leaf in _leaves.Values) leaf.Dispose();
        Values.Dispose();
    }

    private Parameter Leaf(TensorInfo info, ShardRange slice)
    {
        using var scope = NewDisposeScope();
        var leaf = new Parameter(Values.narrow(0, slice.Offset, slice.Count).view(info.Shape).detach());
        leaf.DetachFromDisposeScope();
        return leaf;
    }
}
