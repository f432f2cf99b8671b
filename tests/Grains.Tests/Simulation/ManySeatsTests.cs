using System.Diagnostics;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Protocol;
using Phi3VCluster.Grains.Runs;

namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>What a run of thousands of seats costs its coordinator.</summary>
public sealed class ManySeatsTests
{
    private const int Nodes = 512, SeatsPerNode = 8;

    private static readonly RunTimings Timings = new();

    private readonly DateTimeOffset _now = DateTimeOffset.UnixEpoch;
    private Rendezvous _run = Rendezvous.New(new(Nodes * SeatsPerNode / 2, Nodes * SeatsPerNode));
    private Heard _heard = Heard.Nothing(DateTimeOffset.UnixEpoch);
    private long _reports;

    /// <summary>Time is not measured here, for other tests run beside this one; 100 MB take 0.1 to 0.3 s.</summary>
    [Fact]
    public void A_generation_of_4096_seats_forms_and_forms_again_after_a_loss_without_much_ado()
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var watch = Stopwatch.StartNew();

        var joins = Form();
        var first = watch.Elapsed;
        Apply(new RunEvent.SilosLost([new("s7", "n7 was lost: its silo is gone")]));
        joins += ReportAll(generation: 1, node => node != 7);

        TestContext.Current.TestOutputHelper?.WriteLine(
            $"formed in {first.TotalMilliseconds:0} ms, again in {(watch.Elapsed - first).TotalMilliseconds:0} ms");
        Assert.Equal((Nodes * SeatsPerNode) + ((Nodes - 1) * SeatsPerNode), joins);
        Assert.Equal((2, (Nodes - 1) * SeatsPerNode), (_run.Generation, _run.Members.Length));
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) >> 20, 0, 100);
    }

    private int Form()
    {
        Apply(new RunEvent.Tended([.. Enumerable.Range(0, Nodes * SeatsPerNode).Select(Place)], [], []));
        return ReportAll(generation: 0, _ => true);
    }

    /// <returns>How many seats are told to join.</returns>
    private int ReportAll(long generation, Func<int, bool> isThere)
    {
        var joins = 0;
        foreach (var node in Enumerable.Range(0, Nodes).Where(isThere))
        {
            var seats = Enumerable.Range(node * SeatsPerNode, SeatsPerNode).Select(seat => Parked(seat, generation));
            joins += Apply(new RunEvent.Reported($"s{node}", ++_reports, [.. seats]));
        }
        return joins;
    }

    private static SeatPlace Place(int seat) => new(seat, $"n{seat / SeatsPerNode}", $"s{seat / SeatsPerNode}");

    private static RankReport Parked(int seat, long generation) => new()
    {
        Seat = seat,
        Phase = ReportedPhase.Parked,
        Generation = generation,
        Offer = new($"tcp://10.0.{seat / 2048}.{seat / 8 % 256}:{seat}/{generation}", generation, 0, ReportedStage.Step, true, "same"),
    };

    private int Apply(RunEvent happened)
    {
        var decision = _run.Apply(_heard, happened, _now, Timings);
        (_run, _heard) = (decision.State, decision.Heard);
        return decision.Commands.Count(command => command is RunCommand.Join);
    }
}
