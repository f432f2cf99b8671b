using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>
/// Where backward adds up a step's gradients, in float32 whatever the model computes in, and when they are summed over the ranks. All
/// ranks call the same methods equally often: each may wait for the others.
/// </summary>
public abstract class GradientStore(FlatParameters parameters, ShardLayout layout) : IDisposable
{
    protected FlatParameters Parameters { get; } = parameters;

    public ShardLayout Layout { get; } = layout;

    /// <summary>The sums whose squares this rank adds to the global norm: the ranks' parts together are all, each once.</summary>
    public virtual IReadOnlyList<ShardPiece> Measured => Layout.Pieces;

    /// <summary>Whether every pass waits for the other ranks: then all ranks make as many, some of them empty.</summary>
    public virtual bool ReducesEveryPass => false;

    /// <summary>Forgets the last step's. In place: the leaves' gradients are views.</summary>
    public abstract void Zero();

    /// <summary>The step's last pass on this rank begins: what a unit has after it is all it will have.</summary>
    public virtual void LastPass()
    {
    }

    /// <summary>A unit's backward is done for this pass.</summary>
    public virtual void UnitDone(string unit)
    {
    }

    /// <summary>A pass is over, or there was none for this rank while others had one.</summary>
    public virtual void PassDone()
    {
    }

    /// <summary>After the last pass: from now on <see cref="Own"/> holds the sums over all ranks.</summary>
    public virtual void StepDone()
    {
    }

    /// <summary>The summed gradients of a part of one of this rank's pieces, 1-D float32; a view that the caller disposes.</summary>
    public abstract Tensor Own(ShardPiece piece, ShardRange part);

    /// <summary>Bytes held.</summary>
    public abstract long SizeBytes { get; }

    /// <summary>In all of which the rank's thread did nothing but wait for sums.</summary>
    public abstract double WaitedSeconds { get; }

    public abstract void Dispose();

    protected void Attach(FlatEntry entry, Tensor buffer, long offset)
    {
        using var scope = NewDisposeScope();
        Parameters[entry.Tensor.Name].grad = buffer.narrow(0, offset, entry.Tensor.ElementCount).view(entry.Tensor.Shape).detach();
    }

    protected Tensor Buffer(long count) => zeros(count, ScalarType.Float32, Parameters.Values.device).DetachFromDisposeScope();

    protected static void Fill0(Tensor buffer)
    {
        using var quiet = no_grad();
        using Scalar zero = 0.0;
        buffer.fill_(zero); // zero_ would make a tensor more
    }
}
