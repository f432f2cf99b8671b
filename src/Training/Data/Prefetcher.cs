using System.Runtime.ExceptionServices;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Prepares ahead of one rank, on threads of its own, and hands over in order. <see cref="Take"/> is for one thread; Dispose may come from
/// any.
/// </summary>
/// <typeparam name="TOrder">What is to be prepared.</typeparam>
/// <typeparam name="TItem">What it becomes.</typeparam>
public sealed class Prefetcher<TOrder, TItem> : IDisposable where TItem : class
{
    /// <summary>Seconds of a small model, tens of letter pages of a large one; more only made garbage wait longer.</summary>
    public const long DefaultMaxBytes = 64L << 20;

    private readonly IEnumerator<TOrder> _orders;
    private readonly Func<TOrder, TItem> _prepare;
    private readonly Func<TItem, long> _bytesOf;
    private readonly long _maxBytes;
    private readonly int _minItems;
    private readonly Thread[] _threads;
    private readonly object _gate = new();
    private readonly Dictionary<long, Slot> _ready = [];
    private long _claimed, _taken, _readyBytes;
    private bool _ended, _disposed;

    /// <param name="orders">In the order of the items; may be endless. Enumerated under a lock, by one thread at a time.</param>
    /// <param name="prepare">Called from several threads when <paramref name="threadCount"/> is more than one.</param>
    /// <param name="bytesOf">What an item takes while it waits.</param>
    /// <param name="maxBytes">No new item is begun while this much waits; each thread may go over it by one.</param>
    /// <param name="minItems">Items that may wait whatever their size: as many as are taken in one go.</param>
    public Prefetcher(
        IEnumerable<TOrder> orders, Func<TOrder, TItem> prepare, Func<TItem, long> bytesOf, long maxBytes = DefaultMaxBytes,
        int minItems = 1, int threadCount = 1)
    {
        (_orders, _prepare, _bytesOf, _maxBytes, _minItems) = (orders.GetEnumerator(), prepare, bytesOf, maxBytes, minItems);
        _threads = [.. Enumerable.Range(0, threadCount).Select(i => new Thread(Work) { IsBackground = true, Name = $"prefetch {i}" })];
        foreach (var thread in _threads) thread.Start();
    }

    /// <summary>The next item; waits until it is there. Null after the last.</summary>
    /// <exception cref="OperationCanceledException">Disposed or stopped, also while waiting.</exception>
    /// <remarks>What went wrong with an item is thrown when its turn comes, and again by every later call.</remarks>
    public TItem? Take() => Take(CancellationToken.None);

    /// <summary>As above.</summary>
    /// <param name="stop">Ends the wait.</param>
    public TItem? Take(CancellationToken stop)
    {
        using var wake = stop.Register(Wake); // outside the lock: its disposal waits for a Wake in progress
        lock (_gate)
        {
            Slot? slot;
            while (!_ready.TryGetValue(_taken, out slot))
            {
                stop.ThrowIfCancellationRequested();
                if (_disposed) throw new OperationCanceledException("the prefetcher was stopped");
                if (_ended && _taken == _claimed) return null;
                Monitor.Wait(_gate);
            }
            slot.Fault?.Throw();
            _ready.Remove(_taken++);
            _readyBytes -= slot.Bytes;
            Monitor.PulseAll(_gate);
            return slot.Item;
        }
    }

    /// <summary>Stops at once; does not wait for what is being prepared.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            _ready.Clear();
            Monitor.PulseAll(_gate);
        }
    }

    private void Wake()
    {
        lock (_gate) Monitor.PulseAll(_gate);
    }

    private void Work()
    {
        while (Claim(out var number, out var order, out var fault))
        {
            var slot = fault is null ? Prepare(order) : new(null, fault, 0);
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
    private bool Claim(out long number, out TOrder order, out ExceptionDispatchInfo? fault)
    {
        (number, order, fault) = (0, default!, null);
        lock (_gate)
        {
            while (!_disposed && !_ended && _readyBytes >= _maxBytes && _ready.Count >= _minItems) Monitor.Wait(_gate);
            if (_disposed || _ended) return false;
            try
            {
                _ended = !_orders.MoveNext();
                if (!_ended) order = _orders.Current;
            }
            catch (Exception e)
            {
                fault = ExceptionDispatchInfo.Capture(e);
            }
            if (_ended) Monitor.PulseAll(_gate);
            else number = _claimed++;
            return !_ended;
        }
    }

    private Slot Prepare(TOrder order)
    {
        try
        {
            var item = _prepare(order);
            return new(item, null, _bytesOf(item));
        }
        catch (Exception e)
        {
            return new(null, ExceptionDispatchInfo.Capture(e), 0);
        }
    }

    private sealed record Slot(TItem? Item, ExceptionDispatchInfo? Fault, long Bytes);
}
