using System.Runtime.ExceptionServices;

namespace Phi3VCluster.Training.Data;

/// <summary>The samples of one forward pass of one rank.</summary>
/// <param name="Step">Within the epoch, from 0.</param>
/// <param name="Indices">Rows of the dataset.</param>
public sealed record MicroBatch(int Epoch, int Step, IReadOnlyList<int> Indices);

/// <summary>A micro-batch, read and encoded.</summary>
public sealed record PreparedBatch(MicroBatch Batch, IReadOnlyList<EncodedSample> Samples);

/// <summary>
/// Reads and encodes ahead of one rank, on threads of its own, and hands over in order. <see cref="Take"/> is for one thread; Dispose may
/// come from any.
/// </summary>
public sealed class Prefetcher : IDisposable
{
    /// <summary>Seconds of a small model, tens of letter pages of a large one; more only made garbage wait longer.</summary>
    public const long DefaultMaxBytes = 64L << 20;

    private readonly IEnumerator<MicroBatch> _batches;
    private readonly Func<int, int, EncodedSample> _encode;
    private readonly long _maxBytes;
    private readonly Thread[] _threads;
    private readonly object _gate = new();
    private readonly Dictionary<long, Slot> _ready = [];
    private long _claimed, _taken, _readyBytes;
    private bool _ended, _disposed;

    /// <param name="batches">What the rank will ask for, in order; may be endless. Enumerated under a lock, by one thread at a time.</param>
    /// <param name="encode">(epoch, index) → sample; called from several threads when <paramref name="threadCount"/> is more than one.</param>
    /// <param name="maxBytes">No new batch is begun while this much waits; each thread may go over it by one batch.</param>
    public Prefetcher(IEnumerable<MicroBatch> batches, Func<int, int, EncodedSample> encode, long maxBytes = DefaultMaxBytes, int threadCount = 1)
    {
        (_batches, _encode, _maxBytes) = (batches.GetEnumerator(), encode, maxBytes);
        _threads = [.. Enumerable.Range(0, threadCount).Select(i => new Thread(Work) { IsBackground = true, Name = $"prefetch {i}" })];
        foreach (var thread in _threads) thread.Start();
    }

    /// <summary>The next batch; waits until it is there. Null after the last.</summary>
    /// <exception cref="OperationCanceledException">Disposed, also while waiting.</exception>
    /// <remarks>What went wrong with a batch is thrown when its turn comes, and again by every later call.</remarks>
    public PreparedBatch? Take()
    {
        lock (_gate)
        {
            Slot? slot;
            while (!_ready.TryGetValue(_taken, out slot))
            {
                if (_disposed) throw new OperationCanceledException("the prefetcher was stopped");
                if (_ended && _taken == _claimed) return null;
                Monitor.Wait(_gate);
            }
            slot.Fault?.Throw();
            _ready.Remove(_taken++);
            _readyBytes -= slot.Bytes;
            Monitor.PulseAll(_gate);
            return slot.Batch;
        }
    }

    /// <summary>Stops at once; does not wait for a sample that is being encoded.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            _ready.Clear();
            Monitor.PulseAll(_gate);
        }
    }

    private void Work()
    {
        while (Claim(out var number, out var claimed))
        {
            var slot = claimed as Slot ?? Encode((MicroBatch)claimed);
            lock (_gate)
            {
                if (_disposed) return;
                _ready[number] = slot;
                _readyBytes += slot.Bytes;
                // A fault is final: nothing behind it will be taken.
                _ended |= slot.Fault is not null;
                Monitor.PulseAll(_gate);
            }
        }
    }

    /// <summary>Takes the next place in the order, when there is room; the place of a sequence that fails is its fault.</summary>
    private bool Claim(out long number, out object claimed)
    {
        (number, claimed) = (0, "");
        lock (_gate)
        {
            while (!_disposed && !_ended && _readyBytes >= _maxBytes) Monitor.Wait(_gate);
            if (_disposed || _ended) return false;
            try
            {
                _ended = !_batches.MoveNext();
                if (!_ended) claimed = _batches.Current;
            }
            catch (Exception e)
            {
                claimed = new Slot(null, ExceptionDispatchInfo.Capture(e), 0);
            }
            if (_ended) Monitor.PulseAll(_gate);
            else number = _claimed++;
            return !_ended;
        }
    }

    private Slot Encode(MicroBatch batch)
    {
        try
        {
            var samples = batch.Indices.Select(index => _encode(batch.Epoch, index)).ToList();
            var bytes = samples.Sum(s => (s.InputIds.Length + s.Labels.Length) * (long)sizeof(long) + s.Images.Sum(image => (long)image.Rgb.Length));
            return new(new(batch, samples), null, bytes);
        }
        catch (Exception e)
        {
            return new(null, ExceptionDispatchInfo.Capture(e), 0);
        }
    }

    private sealed record Slot(PreparedBatch? Batch, ExceptionDispatchInfo? Fault, long Bytes);
}
