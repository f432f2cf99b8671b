using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Chaos;

/// <summary>
/// A run in this process, without silos, over as many ranks at each step as another had: what of that other's losses comes from its ranks'
/// number alone, which orders the sums. Nobody hurts its threads: ranks part where their number changes, and at no other step. Where each
/// has the whole state, rank 0 is the same seat from the first step to the last, and never takes a state from anybody.
/// </summary>
internal sealed class ChaosReplay : IDisposable
{
    private readonly RunSpec _spec;
    private readonly string _output;
    private readonly List<(int Ranks, long LastStep)> _stretches = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Barrier _begun;
    private readonly Offer[] _offers;
    private ICollectiveEndpoint[] _ends = [];
    private ShardPlan? _shards; // where the state is that a stretch begins with, if that is in parts
    private IReadOnlyList<double> _losses = [];
    private Exception? _failure;

    private ChaosReplay(RunSpec spec, string output, IReadOnlyList<int> ranks)
    {
        (_spec, _output) = (spec, output);
        for (var i = 0; i < ranks.Count; i++)
            if (i + 1 == ranks.Count || ranks[i + 1] != ranks[i]) _stretches.Add((ranks[i], i + 1));
        _offers = new Offer[ranks.Max()];
        _begun = new(ranks.Max(), barrier => Begin(_stretches.ElementAtOrDefault((int)barrier.CurrentPhaseNumber).Ranks));
    }

    /// <param name="spec">As the other run's <c>run.yaml</c> has it.</param>
    /// <param name="output">A folder of its own.</param>
    /// <param name="ranks">By step.</param>
    /// <returns>The steps' losses.</returns>
    public static IReadOnlyList<double> Losses(RunSpec spec, string output, IReadOnlyList<int> ranks)
    {
        LibTorch.Load();
        using var replay = new ChaosReplay(spec, output, ranks);
        var seats = Enumerable.Range(0, ranks.Max()).Select(rank => new Thread(() => replay.Guard(rank))).ToList();
        seats.ForEach(seat => seat.Start());
        seats.ForEach(seat => seat.Join());
        return replay._failure is { } failure ? throw new InvalidOperationException(failure.Message, failure) : replay._losses;
    }

    public void Dispose()
    {
        foreach (var end in _ends) end.Dispose();
        _begun.Dispose();
        _stop.Dispose();
    }

    private void Begin(int ranks)
    {
        foreach (var end in _ends) end.Dispose();
        _ends = [.. Enumerable.Range(0, ranks).Select(_ => new TcpBackend().Open("127.0.0.1", cudaDevice: null))];
        var newest = _offers.SelectMany(offer => (offer.Held ?? []).Select(held => (offer.Courier, Held: held)))
            .GroupBy(one => one.Held.Version).MaxBy(version => version.Key.Step)?.ToList();
        _shards = newest is null ? null : new(newest[0].Held.Version, newest[0].Held.WorldSize, newest[0].Courier,
            [.. newest.SelectMany(one => one.Held.Ranks.Select(rank => new ShardHolder(rank, one.Courier)))]);
    }

    private void Guard(int rank)
    {
        try
        {
            Live(rank);
        }
        catch (Exception failure) // the top frame of a thread: whoever waits for it throws it
        {
            lock (_stop)
            {
                if (_failure is null || (_failure is CollectiveException && failure is not OperationCanceledException))
                    _failure = failure; // what a peer's end and the stop below come to is but an echo
            }
            _stop.Cancel();
        }
    }

    private void Live(int rank)
    {
        set_num_threads(ChaosCluster.Threads); // libtorch keeps this per thread
        var id = new SeatId("replay", rank);
        using var metrics = new SeatMetrics(id, "here", new());
        using var home = RunHome.Load(_spec, RankCompute.Of(_spec, null), _output, metrics, _stop.Token);
        home.OpenShards(() => new RingChannels("127.0.0.1"));
        for (var i = 0; i < _stretches.Count; i++)
        {
            _offers[rank] = home.Offer("", generation: i);
            _begun.SignalAndWait(_stop.Token);
            if (rank < _stretches[i].Ranks) Train(home, id, generation: i + 1, _stretches[i].LastStep);
        }
        _begun.SignalAndWait(_stop.Token); // who is in no ring has parts that the last may begin with
        if (rank == 0) _losses = [.. home.State.Records.Select(record => record.Loss)];
    }

    private void Train(RunHome home, SeatId id, int generation, long lastStep)
    {
        using var ring = _ends[id.Seat].Connect(generation, id.Seat, [.. _ends.Select(end => end.Address)], _stop.Token);
        using var parts = GenerationBuilder.Build(home, ring, source: 0, "as many ranks", _shards, _stop.Token);
        new Trainer(home, parts, AskToPart, _stop.Token).Run(new(id, RankPhase.Joining));
        home.Park();

        void AskToPart(RankProgress now) // told before the first step and after each: it is heard in the next
        {
            if (now.Step >= lastStep - 1) home.PartingGeneration = generation;
        }
    }
}
