using Orleans.Placement;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Ranks;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Engine.Checks;

namespace Phi3VCluster.Grains.Checks;

/// <summary>
/// One check of this node. It looks on other threads, for a disk, a driver or a store may hang, and never waits for them long.
/// </summary>
[NodePlacement, Immovable]
internal sealed class NodeCheckGrain(IRankWorkers workers, INodeProbe probe, StateStoreProbe store, TimeProvider time)
    : Grain, INodeCheckGrain
{
    /// <summary>For each part of an answer: whoever asks waits five seconds for all of it.</summary>
    private static readonly TimeSpan PartPatience = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan UntilGivenUp = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(10);

    private readonly CheckDoors _doors = new(probe);
    private readonly ResultsDisk _disk = new();
    private long _lastAsked;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _lastAsked = time.GetTimestamp();
        this.RegisterGrainTimer(TickAsync, new GrainTimerCreationOptions(Tick, Tick));
        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        _doors.Dispose();
        return InTimeAsync(() => // the disk may hang
        {
            _disk.Dispose();
            return true;
        }, _ => false);
    }

    public Task<DateTimeOffset> ClockAsync() => Task.FromResult(probe.Now);

    public async Task<NodeFindings> LookAsync(string folder)
    {
        _lastAsked = time.GetTimestamp();
        var ranks = workers.Capacity;
        var disk = ranks == 0 ? Task.FromResult<DiskFinding?>(null)
            : InTimeAsync<DiskFinding?>(() => _disk.Look(folder), problem => new(0, null, problem));
        var devices = InTimeAsync(Devices, problem => new("", 0, 0, problem));
        var own = this.GetGrainId();
        var kept = InTimeAsync(Task.Run(() => store.LookAsync(own)), problem => new(store.Name, 0, problem));
        var certificate = InTimeAsync(() => probe.CertificateEnd, _ => null);
        return new()
        {
            Ranks = ranks,
            Disk = await disk,
            Devices = await devices,
            Store = await kept,
            CertificateEnd = await certificate,
        };
    }

    public Task<NodeDoors> OpenAsync(int count)
    {
        _lastAsked = time.GetTimestamp();
        return InTimeAsync(() => new NodeDoors(_doors.Open(count), null), problem => new([], problem));
    }

    public async Task<IReadOnlyList<ReachReport>> ReachAsync(IReadOnlyList<string> doors)
    {
        _lastAsked = time.GetTimestamp();
        using var late = new CancellationTokenSource(PartPatience);
        return await Task.WhenAll(doors.Select(door => Task.Factory.StartNew( // each blocks a thread, which the pool would miss
            () => Reach(door, late.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
    }

    public Task<IReadOnlyList<bool>> SeeAsync(IReadOnlyList<string> files)
    {
        _lastAsked = time.GetTimestamp();
        return InTimeAsync<IReadOnlyList<bool>>(() => [.. files.Select(File.Exists)], _ => [.. files.Select(_ => false)]);
    }

    public Task EndAsync()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }

    private DeviceFinding Devices()
    {
        var found = probe.Devices();
        return new(found.Words, found.Gpus, found.NcclVersion, Problem: null);
    }

    private ReachReport Reach(string door, CancellationToken late)
    {
        try
        {
            var reach = probe.Reach(door, late);
            return new((ReportedReachOutcome)reach.Outcome, reach.Detail); // the enums of both sides are one list; a test compares them
        }
        catch (Exception e)
        {
            return new(ReportedReachOutcome.Failed, e.Message);
        }
    }

    private static Task<T> InTimeAsync<T>(Func<T> look, Func<string, T> otherwise) => InTimeAsync(Task.Run(look), otherwise);

    /// <param name="look">Goes on by itself if it is late.</param>
    /// <param name="otherwise">What is said instead, of a problem.</param>
    private static async Task<T> InTimeAsync<T>(Task<T> look, Func<string, T> otherwise)
    {
        try
        {
            return await look.WaitAsync(PartPatience);
        }
        catch (TimeoutException)
        {
            return otherwise($"no answer in {PartPatience.TotalSeconds} s");
        }
        catch (Exception e) // whatever is wrong with it is what is asked for
        {
            return otherwise(FirstLine(e.Message));
        }
    }

    /// <summary>A client of a store says pages.</summary>
    private static string FirstLine(string text)
    {
        const int most = 200;
        var line = text.Split('\n')[0].TrimEnd('.', '\r');
        return line.Length <= most ? line : $"{line[..most]} …";
    }

    private Task TickAsync()
    {
        if (time.GetElapsedTime(_lastAsked) > UntilGivenUp) DeactivateOnIdle();
        return Task.CompletedTask;
    }
}
