using System.Collections.Immutable;
using Phi3VCluster.Training.Native;
using TorchSharp;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// What one seat has to tell: its thread writes, scrapes read. Counters hold from the seat's first moment to a minute after its end, so
/// that a scrape sees all of it; gauges end with what they measure.
/// </summary>
internal sealed class SeatMetrics : IDisposable
{
    private static readonly TimeSpan ToldAfterTheEnd = TimeSpan.FromMinutes(1);

    private readonly int? _device;
    private volatile SeatReading _now = new();
    private long? _endedAt;

    /// <param name="node">The silo's.</param>
    /// <param name="device">The CUDA device that is the seat's; null for the CPU.</param>
    public SeatMetrics(SeatId id, string node, PhaseClock clock, int? device = null)
    {
        (Id, Node, Clock, _device) = (id, node, clock, device);
        if (device is { } cuda && CudaAllocator.IsKnown)
        {
            using var first = torch.zeros(1, device: new torch.Device(DeviceType.CUDA, cuda)); // there is no allocator before it
            CudaAllocator.ResetPeak(cuda); // an earlier run of this process had the device
        }
        if (device is null) HostPeak.Enter(id);
        RankMetrics.Add(this);
    }

    public SeatId Id { get; }
    public string Node { get; }
    public PhaseClock Clock { get; }
    public SeatReading Now => _now;
    public bool HasEnded => _endedAt is not null;
    public bool IsOver => _endedAt is { } at && Environment.TickCount64 - at > ToldAfterTheEnd.TotalMilliseconds;

    /// <summary>A generation begins.</summary>
    /// <param name="run">On rank 0, which alone speaks for the run.</param>
    public void Join(int rank, RunReading? run)
    {
        Clock.Become(rank);
        _now = _now with
        {
            Rank = rank,
            Run = run,
            Rows = run is null || _now.Rows.ContainsKey(run.Row) ? _now.Rows : _now.Rows.Add(run.Row, new()),
            Undone = _now.Undone.ContainsKey(rank) ? _now.Undone : _now.Undone.Add(rank, 0),
            Memory = MemoryOfDevice(),
        };
    }

    /// <summary>All ranks committed a step.</summary>
    /// <param name="run">As it is now, with the step; null on other ranks than 0.</param>
    public void StepCommitted(RunReading? run)
    {
        var next = _now with { Memory = MemoryOfDevice() };
        if (run?.Last is { } step)
        {
            next = next with { Run = run, Rows = next.Rows.SetItem(run.Row, next.Rows[run.Row].With(step)) };
            RankMetrics.Record(run.Row, step.Seconds);
        }
        _now = next;
    }

    /// <returns>
    /// Bytes of its GPU's tensors, or of the process where it computes on the CPU: what was there before it, the most since, and the seats
    /// that share them. Null where that cannot be told.
    /// </returns>
    public (long Before, long Peak, int Seats)? Peak() =>
        _device is null ? HostPeak.Read() : MemoryOfDevice() is { } memory ? (0, memory.Peak, 1) : null;

    /// <summary>Time that the seat spent on steps that were broken off, or that the restored state does not have.</summary>
    public void Undo(double seconds)
    {
        if (_now.Rank is { } rank) _now = _now with { Undone = _now.Undone.SetItem(rank, _now.Undone[rank] + seconds) };
    }

    /// <summary>The generation is over: what was measured in it is true no more.</summary>
    public void Part() => _now = _now with { Run = null };

    public void Dispose()
    {
        Part();
        Clock.Stop();
        if (_device is null) HostPeak.Leave(Id);
        _endedAt = Environment.TickCount64;
    }

    private DeviceMemory? MemoryOfDevice()
    {
        if (_device is not { } device || !CudaAllocator.IsKnown) return null;
        var held = CudaAllocator.Statistics(device);
        return new(held.AllocatedPeak, held.Reserved, _now.Memory?.Total ?? Cuda.Memory(device).Total);
    }
}

/// <summary>A seat at a moment.</summary>
internal sealed record SeatReading
{
    public int? Rank { get; init; }
    /// <summary>On rank 0 of a generation.</summary>
    public RunReading? Run { get; init; }
    public ImmutableDictionary<SpeedRowLabels, RowCounts> Rows { get; init; } = ImmutableDictionary<SpeedRowLabels, RowCounts>.Empty;
    /// <summary>Seconds, by the rank that the seat was.</summary>
    public ImmutableDictionary<int, double> Undone { get; init; } = ImmutableDictionary<int, double>.Empty;
    public DeviceMemory? Memory { get; init; }
}

/// <summary>What a seat, as rank 0, has counted in a row of the speed table.</summary>
internal sealed record RowCounts(long Images = 0, long Tokens = 0, long Steps = 0, long Skipped = 0, double Seconds = 0)
{
    public RowCounts With(StepRecord step) => new(
        Images + step.Images, Tokens + step.Tokens, Steps + 1, Skipped + (step.Skipped is null ? 0 : 1), Seconds + step.Seconds);
}

/// <summary>A run as rank 0 sees it.</summary>
/// <param name="SafeSince">As <see cref="RankMetrics.CheckpointTimestamp"/>; null where the run writes none.</param>
/// <param name="Last">The last committed step of this generation.</param>
/// <param name="Utilization">Model FLOPs utilization; null where it is not known.</param>
internal sealed record RunReading(
    SpeedRowLabels Row, int WorldSize, long Generation, Func<DateTime>? SafeSince, StepRecord? Last = null, double ImagesPerSecond = 0,
    double EpochProgress = 0, double? Utilization = null);

/// <summary>Bytes of a seat's GPU: in tensors at most, taken from the driver now, and all there are.</summary>
internal sealed record DeviceMemory(long Peak, long Reserved, long Total);
