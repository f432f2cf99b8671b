using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>A store's sums over the ranks, and between them what rounding left out.</summary>
/// <param name="half">The 16-bit type in which gradients travel; null: as they are.</param>
/// <param name="count">Elements of all trained parameters.</param>
internal sealed class GradientSums(BeginSum begin, ScalarType? half, long count) : IDisposable
{
    private readonly Tensor? _left = half is null ? null : zeros(count, ScalarType.Float32).DetachFromDisposeScope();
    private TimeSpan _waited;

    /// <summary>Held on the CPU.</summary>
    public long Bytes => (_left?.numel() ?? 0) * sizeof(float);

    /// <param name="buffer">Where the gradients are.</param>
    /// <param name="start">Where in it.</param>
    /// <param name="bucket">What of the flat buffer they are.</param>
    public Begun Begin(Tensor buffer, long start, ShardRange bucket)
    {
        // Views keep the memory for as long as the sum is under way, and may outlive the scope of a step that is given up.
        var part = buffer.narrow(0, start, bucket.Count).DetachFromDisposeScope();
        var left = _left?.narrow(0, bucket.Offset, bucket.Count).DetachFromDisposeScope();
        return new(this, part, left, begin(part, left is null ? null : new(half!.Value, left)));
    }

    /// <inheritdoc cref="GradientStore.WaitedSeconds"/>
    public double WaitedSeconds => _waited.TotalSeconds;

    public void Dispose() => _left?.Dispose();

    internal sealed class Begun(GradientSums sums, Tensor part, Tensor? left, IPendingSum sum) : IDisposable
    {
        /// <summary>The bucket's gradients; after <see cref="Wait"/> their sums, as far as the kind of sum leaves them here.</summary>
        public Tensor Part => part;

        public void Wait()
        {
            var start = Stopwatch.GetTimestamp();
            sum.Wait();
            sums._waited += Stopwatch.GetElapsedTime(start);
        }

        /// <summary>After <see cref="Wait"/>.</summary>
        public void Dispose()
        {
            part.Dispose();
            left?.Dispose();
        }
    }
}
