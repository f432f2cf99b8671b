using System.Runtime.ExceptionServices;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>The ranks of a row as threads of this process, as a silo has them, a device each.</summary>
/// <param name="usesGpus">Rank n computes on CUDA device n; else all share the CPU.</param>
internal sealed class SpeedRanks(int count, bool usesGpus, SpeedRank work)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly GenerationAbort[] _aborts = [.. Enumerable.Range(0, count).Select(_ => new GenerationAbort())];
    private readonly Lock _gate = new();
    private Exception? _first; // others are its echoes
    private SpeedTiming? _timing;

    /// <returns>What rank 0 timed, and the most bytes in tensors on a GPU; null on CPUs, and where libtorch does not tell.</returns>
    /// <exception cref="Exception">Whatever the first rank that failed had.</exception>
    public (SpeedTiming Timing, long? GpuPeak) Run(double seconds, CancellationToken stop)
    {
        var backend = Catalog<ICollectiveBackend>.Find(count == 1 ? "loopback" : usesGpus ? "nccl-or-tcp" : "tcp", "bench");
        ICollectiveEndpoint[] ends = [.. Enumerable.Range(0, count).Select(rank => backend.Open("127.0.0.1", DeviceOf(rank)))];
        string[] addresses = [.. ends.Select(end => end.Address)];
        var peaks = new long?[count];
        Thread[] threads = [.. ends.Select((end, rank) => new Thread(() => Guard(() =>
        {
            set_num_threads(Math.Max(1, Environment.ProcessorCount / count));
            peaks[rank] = RunRank(end, rank, addresses, seconds);
        }))
        { Name = $"bench-{rank}", IsBackground = true })];
        using var interrupt = stop.Register(() => AbortAll("the bench was ended"));
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        foreach (var end in ends) end.Dispose();
        stop.ThrowIfCancellationRequested();
        if (_first is not null) ExceptionDispatchInfo.Throw(_first);
        return (_timing!, peaks.Max());
    }

    private long? RunRank(ICollectiveEndpoint end, int rank, string[] addresses, double seconds)
    {
        var device = DeviceOf(rank);
        var tells = device is not null && CudaAllocator.IsKnown;
        if (device is { } cuda)
        {
            Cuda.Use(cuda);
            using var first = zeros(1, device: new Device(TorchSharp.DeviceType.CUDA, cuda)); // there is no allocator before it
            if (tells) CudaAllocator.ResetPeak(cuda);
        }
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(_aborts[rank].Token);
        timeout.CancelAfter(Patience);
        var connected = end.Connect(1, rank, addresses, timeout.Token);
        using var collective = device is not null && !connected.TakesDeviceMemory ? new HostStaging(connected) : connected;
        _aborts[rank].Attach(collective);
        var timing = work.Run(collective, device, seconds, _aborts[rank].Token);
        if (rank == 0) _timing = timing;
        return tells ? CudaAllocator.Statistics(device!.Value).AllocatedPeak : null;
    }

    private int? DeviceOf(int rank) => usesGpus ? rank : null;

    /// <summary>The top of a rank's thread: one that fails takes the others with it.</summary>
    private void Guard(Action rank)
    {
        try
        {
            rank();
        }
        catch (Exception error)
        {
            lock (_gate) _first ??= error;
            AbortAll(error.Message);
        }
    }

    private void AbortAll(string reason)
    {
        foreach (var abort in _aborts) abort.Abort(reason);
    }
}
