using System.Collections.Concurrent;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Nodes;

/// <summary>For each run one report of all local seats, every second or as soon as somebody waits for it.</summary>
internal sealed class RankReports : BackgroundService
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    private readonly IGrainFactory _grains;
    private readonly IRankWorkers _workers;
    private readonly ILocalSiloDetails _silo;
    private readonly Heartbeat _heartbeat;
    private readonly ILogger<RankReports> _log;
    private readonly Signal _soon = new();
    private long _reports;
    private readonly ConcurrentDictionary<string, bool> _underway = new(); // runs whose report is on its way; true: send another at once

    public RankReports(IGrainFactory grains, IRankWorkers workers, ILocalSiloDetails silo, Heartbeat heartbeat, ILogger<RankReports> log)
    {
        (_grains, _workers, _silo, _heartbeat, _log) = (grains, workers, silo, heartbeat, log);
        _workers.ReportSoon += _soon.Raise;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        do
        {
            foreach (var run in _workers.Progress().GroupBy(seat => seat.Id.Run)) _ = ReportAsync(run.Key);
            _heartbeat.BeatIfLeft();
        }
        while (await _soon.WaitAsync(Period, stoppingToken));
    }

    /// <summary>One report at a time for each run, so that a coordinator that does not answer delays no other run's.</summary>
    private async Task ReportAsync(string run)
    {
        if (!_underway.TryAdd(run, false))
        {
            _underway.TryUpdate(run, true, false);
            return;
        }
        try
        {
            var number = Interlocked.Increment(ref _reports); // before the look, so that a higher number has seen no less
            var seats = _workers.Progress().Where(seat => seat.Id.Run == run).ToList();
            var report = new NodeReport(_silo.SiloAddress.ToParsableString(), number, [.. seats.Select(SeatReport.Of)]);
            var reply = await _grains.GetRun(run).ReportAsync(report).WaitAsync(Patience);
            foreach (var seat in seats) _workers.Answered(seat.Id);
            Obey(seats, reply.Stale.ToHashSet(), reply.Version, $"{run} went on without this seat");
        }
        catch (RunNotFoundException) // its state is lost: nobody will ever ask for these seats
        {
            var seats = _workers.Progress().Where(seat => seat.Id.Run == run).ToList();
            Obey(seats, seats.Select(seat => seat.Id.Seat).ToHashSet(), long.MaxValue, "nobody knows the run");
        }
        catch (Exception e) // its silo may be dying; the next report goes to wherever the coordinator comes back
        {
            _log.ReportFailed(run, e.Message);
        }
        _underway.TryRemove(run, out var again);
        if (again) _soon.Raise();
    }

    /// <summary>A seat that has ended, and whose end was heard, is forgotten; one that is there for nobody is ended.</summary>
    private void Obey(List<RankProgress> seats, HashSet<int> stale, long version, string reason)
    {
        foreach (var seat in seats)
        {
            if (SeatReport.HasEnded(seat)) _workers.Forget(seat.Id);
            else if (stale.Contains(seat.Id.Seat)) _workers.Leave(seat.Id, version, reason);
        }
    }
}
