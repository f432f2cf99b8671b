using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// The ring with sums that go on while the rank computes: on a thread of their own, one after the other in the order in which they were
/// begun. Calls that block stay on the rank's thread, and wait for those first.
/// </summary>
/// <param name="ring">Owned from here on.</param>
internal sealed class BesideRing(TcpRing ring) : ICollective
{
    private readonly BlockingCollection<Begun> _begun = [];
    private Begun? _last;
    private Thread? _thread;
    private bool _isDisposed;

    public int Rank => ring.Rank;
    public int WorldSize => ring.WorldSize;
    public long Generation => ring.Generation;

    public void AllReduce(Tensor buffer)
    {
        WaitForBegun();
        ring.AllReduce(buffer);
    }

    public void ReduceScatter(Tensor buffer)
    {
        WaitForBegun();
        ring.ReduceScatter(buffer);
    }

    public void AllGather(Tensor buffer)
    {
        WaitForBegun();
        ring.AllGather(buffer);
    }

    public IPendingSum BeginAllReduce(Tensor buffer, HalfSum? half = null) => Begin(buffer, half, ring.AllReduce);

    public IPendingSum BeginReduceScatter(Tensor buffer, HalfSum? half = null) => Begin(buffer, half, ring.ReduceScatter);

    public void Abort(string reason) => ring.Abort(reason);

    public void Dispose()
    {
        ring.Dispose(); // ends what is under way, and lets what waits behind it fail
        if (Interlocked.Exchange(ref _isDisposed, true)) return;
        _begun.CompleteAdding();
        _thread?.Join();
        _begun.Dispose();
    }

    private Begun Begin(Tensor buffer, HalfSum? half, Action<Tensor, HalfSum?> sum)
    {
        CollectiveBuffer.Check(buffer, summed: true); // a mistake of the caller's is told to the caller
        if (half is not null && half.Left.numel() != buffer.numel())
            throw new ArgumentException($"{half.Left.numel()} numbers left for a buffer of {buffer.numel()}", nameof(half));
        var one = new Begun(() => sum(buffer, half));
        try
        {
            _begun.Add(one);
        }
        catch (InvalidOperationException) // nobody takes any more
        {
            throw new CollectiveException($"rank {Rank} (generation {Generation}): the collective is disposed.");
        }
        if (_thread is null)
        {
            _thread = new Thread(Work) { Name = $"ring-{Rank}", IsBackground = true };
            _thread.Start();
        }
        return _last = one;
    }

    private void WaitForBegun()
    {
        _last?.Wait();
        _last = null;
    }

    private void Work()
    {
        foreach (var one in _begun.GetConsumingEnumerable()) one.Do();
    }

    private sealed class Begun(Action sum) : IPendingSum
    {
        private readonly ManualResetEventSlim _isOver = new(initialState: false, spinCount: 0); // who spins takes another rank's core
        private ExceptionDispatchInfo? _failure;

        public void Do()
        {
            try
            {
                sum();
            }
            catch (Exception failure)
            {
                _failure = ExceptionDispatchInfo.Capture(failure);
            }
            _isOver.Set();
        }

        public void Wait()
        {
            _isOver.Wait();
            _failure?.Throw();
        }
    }
}
