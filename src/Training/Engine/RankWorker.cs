using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// One rank: a thread that trains, and the little that other threads may do to it. TorchSharp's dispose scopes, grad mode and last
/// error belong to a thread, so all tensor work of the rank happens on this one.
/// </summary>
internal sealed class RankWorker
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(60);

    private readonly RunSpec _spec;
    private readonly RankCompute _compute;
    private readonly string _node;
    private readonly ICollectiveEndpoint _endpoint;
    private readonly DeviceClaim? _device;
    private readonly Action<RankWorker> _changed;
    private readonly CancellationTokenSource _stop = new(); // has no timer and no handle: nothing to dispose
    private readonly EpochBarrier _barrier = new();
    private readonly Lock _gate = new();
    private Thread? _thread;
    private ICollective? _collective;
    private string? _abortReason;
    private volatile bool _left, _forgotten;
    private volatile RankProgress _progress;

    /// <param name="endpoint">Owned from here on.</param>
    /// <param name="device">Owned from here on; null on the CPU.</param>
    /// <param name="changed">Told on any thread that the rank is in another phase, or has left its place.</param>
    public RankWorker(
        RankId id, RunSpec spec, RankCompute compute, string node, ICollectiveEndpoint endpoint, DeviceClaim? device,
        Action<RankWorker> changed)
    {
        (_spec, _compute, _node, _endpoint, _device, _changed) = (spec, compute, node, endpoint, device, changed);
        _progress = new RankProgress(id, RankPhase.Prepared) { Address = endpoint.Address };
    }

    public RankProgress Progress => _progress;

    /// <summary>From the preflight until the thread, if there was one, has ended and freed what it had.</summary>
    public bool HoldsItsPlace => !_left;

    public bool IsForgotten => _forgotten;

    /// <summary>Starts the rank's thread. A second call does nothing.</summary>
    /// <returns>False if the rank was aborted before.</returns>
    public bool Begin(int worldSize, IReadOnlyList<string> addresses, string outputFolder, int threads)
    {
        lock (_gate)
        {
            if (_thread is not null) return true;
            if (_abortReason is not null) return false;
            _progress = _progress with { Phase = RankPhase.Starting };
            _thread = new Thread(() => Main(worldSize, addresses, outputFolder, threads)) { Name = $"rank-{_progress.Id.Rank}", IsBackground = true };
            _thread.Start();
            return true;
        }
    }

    public void PassBarrier(int epoch) => _barrier.Pass(epoch);

    /// <summary>Wakes the rank wherever it waits, and ends its work at the next layer, token or file.</summary>
    public void Abort(string reason)
    {
        bool hasBegun;
        lock (_gate)
        {
            if (_abortReason is not null) return;
            _abortReason = reason;
            hasBegun = _thread is not null;
            if (!hasBegun) _progress = _progress with { Phase = RankPhase.Stopped, Error = reason };
        }
        _stop.Cancel();
        _collective?.Abort(reason);
        if (!hasBegun) Leave();
    }

    /// <summary>Its end was heard of; it is aborted if it has not come to one.</summary>
    public void Forget()
    {
        _forgotten = true;
        Abort("forgotten");
    }

    /// <returns>Whether its thread has ended, or there was none.</returns>
    public bool Join(TimeSpan patience) => _thread?.Join(patience) ?? true;

    private void Main(int worldSize, IReadOnlyList<string> addresses, string outputFolder, int threads)
    {
        try
        {
            set_num_threads(threads); // libtorch keeps this per thread, and CUDA the current device
            if (_compute.Device.type == DeviceType.CUDA) Cuda.Use(_compute.Device.index);
            using var flash = _compute.Device.type == DeviceType.CUDA ? FlashSwitch.For(_spec.Precision) : null;
            Activity.Watch(part => _progress = _progress with { Part = part });
            using var collective = Connect(worldSize, addresses);
            using var trainer = TrainerBuilder.Build(_spec, _compute, collective, outputFolder, _node, _stop.Token);
            trainer.Run(_progress, Publish, _barrier);
        }
        // The top frame of the rank's thread: whatever went wrong becomes the rank's last word, for the coordinator to act upon.
        catch (Exception error)
        {
            Publish(_abortReason is { } reason
                ? _progress with { Phase = RankPhase.Stopped, Error = reason }
                : _progress with { Phase = RankPhase.Failed, Error = Explain(error), IsEcho = error is CollectiveException });
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>Gives back what the rank held of its node.</summary>
    private void Leave()
    {
        _endpoint.Dispose();
        _device?.Dispose();
        _left = true;
        _changed(this);
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
        var enters = progress.Phase != _progress.Phase;
        _progress = progress with { Part = enters ? null : _progress.Part };
        if (enters) _changed(this); // left unsaid, a barrier of milliseconds would show for a second
    }

    /// <summary>What is said of a fault, without a stack for what a user can mend; other stacks go to the node's log.</summary>
    internal static string Explain(Exception error)
    {
        if (error is InputException or CollectiveException or RankFault or LibTorchException or IOException or UnauthorizedAccessException)
            return error.Message;
        Console.Error.WriteLine(error);
        return $"{error.GetType().Name}: {error.Message.Split('\n')[0].Trim()} (the node's log has where)";
    }
}
