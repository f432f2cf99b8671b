using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// One rank: a thread that trains, and the little that other threads may do to it. TorchSharp's dispose scopes, grad mode and last
/// error belong to a thread, so all tensor work of the rank happens on this one.
/// </summary>
internal sealed class RankWorker : IDisposable
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(10);

    private readonly RunSpec _spec;
    private readonly RankCompute _compute;
    private readonly ICollectiveEndpoint _endpoint;
    private readonly Action _reportSoon;
    private readonly CancellationTokenSource _stop = new();
    private readonly EpochBarrier _barrier = new();
    private readonly Lock _gate = new();
    private Thread? _thread;
    private ICollective? _collective;
    private string? _abortReason;
    private volatile RankProgress _progress;

    public RankWorker(RankId id, RunSpec spec, RankCompute compute, ICollectiveEndpoint endpoint, Action reportSoon)
    {
        (_spec, _compute, _endpoint, _reportSoon) = (spec, compute, endpoint, reportSoon);
        _progress = new RankProgress(id, RankPhase.Starting);
    }

    public RankProgress Progress => _progress;

    /// <summary>The device it occupies until it is forgotten; null for the CPU.</summary>
    public int? CudaDevice => _compute.Device.type == DeviceType.CUDA ? _compute.Device.index : null;

    /// <summary>Starts the rank's thread. A second call does nothing.</summary>
    public void Begin(int worldSize, IReadOnlyList<string> addresses, string outputFolder, int threads)
    {
        lock (_gate)
        {
            if (_thread is not null || _abortReason is not null) return;
            _thread = new Thread(() => Main(worldSize, addresses, outputFolder, threads)) { Name = $"rank-{_progress.Id.Rank}", IsBackground = true };
            _thread.Start();
        }
    }

    public void PassBarrier(int epoch) => _barrier.Pass(epoch);

    /// <summary>Wakes the rank wherever it waits: data, barrier or a collective.</summary>
    public void Abort(string reason)
    {
        lock (_gate)
        {
            if (_abortReason is not null) return;
            _abortReason = reason;
            if (_thread is null) _progress = _progress with { Phase = RankPhase.Stopped, Error = reason };
        }
        _stop.Cancel();
        _collective?.Abort(reason);
    }

    public void Dispose()
    {
        Abort("forgotten");
        if (_thread is not null && !_thread.Join(StopTimeout)) return; // still inside libtorch: its memory must outlive it
        _endpoint.Dispose();
        _barrier.Dispose();
        _stop.Dispose();
    }

    private void Main(int worldSize, IReadOnlyList<string> addresses, string outputFolder, int threads)
    {
        try
        {
            set_num_threads(threads); // libtorch keeps this per thread
            if (_compute.Device.type == DeviceType.CUDA) backends.cuda.enable_flash_sdp(_spec.Precision == "bf16"); // elsewhere it overflows, or is not there
            using var collective = Connect(worldSize, addresses);
            using var trainer = TrainerBuilder.Build(_spec, _compute, collective, outputFolder, _stop.Token);
            trainer.Run(_progress, Publish, _barrier);
        }
        // The top frame of the rank's thread: whatever went wrong becomes the rank's last word, for the coordinator to act upon.
        catch (Exception error)
        {
            Publish(_abortReason is { } reason
                ? _progress with { Phase = RankPhase.Stopped, Error = reason }
                : _progress with { Phase = RankPhase.Failed, Error = Explain(error) });
        }
    }

    private ICollective Connect(int worldSize, IReadOnlyList<string> addresses)
    {
        if (addresses.Count != worldSize) throw new InvalidOperationException($"{addresses.Count} addresses for {worldSize} ranks.");
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        timeout.CancelAfter(ConnectTimeout);
        var collective = _endpoint.Connect(_progress.Id.Generation, _progress.Id.Rank, addresses, timeout.Token);
        if (_compute.Device.type != DeviceType.CPU && !collective.TakesDeviceMemory) collective = new HostStaging(collective);
        lock (_gate)
        {
            _collective = collective;
            if (_abortReason is { } reason) collective.Abort(reason); // the abort came while connecting
        }
        return collective;
    }

    private void Publish(RankProgress progress)
    {
        var enters = progress.Phase != _progress.Phase; // left unsaid, a barrier of milliseconds would show for a second
        _progress = progress;
        if (enters) _reportSoon();
    }

    /// <summary>What is said of a fault; the stack is for those that no user can mend.</summary>
    internal static string Explain(Exception error) => error is InputException or CollectiveException or RankFault
        ? error.Message
        : $"{error.GetType().Name}: {error.Message}{Environment.NewLine}{error.StackTrace}";
}
