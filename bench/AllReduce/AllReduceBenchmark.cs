using System.Diagnostics;
using System.Globalization;

namespace Phi3VCluster.Bench.AllReduce;

/// <summary>The tcp collective between processes on one machine, beside PyTorch's gloo.</summary>
internal sealed class AllReduceBenchmark : IBenchmark
{
    /// <summary>
    /// Ours and the peer take turns, and each case's fastest median counts: a burst of another program would hit only one of them.
    /// </summary>
    private const int Rounds = 3;

    private static readonly int[] WorldSizes = [2, 4];

    public string Name => "all-reduce";

    public string Description => "tcp ring all-reduce, 2 and 4 processes, 4 KiB to 512 MiB; beside gloo of python3-torch";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        var gloo = new GlooPeer(options.Peers);
        foreach (var ranks in WorldSizes)
        {
            double[]? ours = null, theirs = null;
            for (var round = 0; round < Rounds; round++)
            {
                ours = Fastest(ours, MeasureOurs(ranks, how: null));
                theirs = Fastest(theirs, gloo.Measure(ranks));
            }
            foreach (var (one, index) in AllReduceCase.All.Select((one, index) => (one, index)))
            {
                var label = $"{ranks} ranks, {one.Label}";
                var (mine, peer) = (ours![index], theirs?[index]);
                yield return new(label, mine * 1e3, "ms") { Peer = gloo.Name, PeerMeasured = peer * 1e3, Note = gloo.Absence };
                yield return new(label, one.BusGibPerSecond(ranks, mine), "GiB/s")
                {
                    Peer = gloo.Name,
                    PeerMeasured = peer is { } seconds ? one.BusGibPerSecond(ranks, seconds) : null,
                    Note = gloo.Absence,
                };
            }
        }
    }

    internal static double[]? Fastest(double[]? one, double[]? other) =>
        one is null || other is null ? one ?? other : [.. one.Zip(other, Math.Min)];

    /// <param name="ranks">As many processes.</param>
    /// <param name="how">See <see cref="AllReduceWorker.Run"/>.</param>
    /// <returns>Median seconds, case by case.</returns>
    internal static double[] MeasureOurs(int ranks, string? how)
    {
        var workers = Enumerable.Range(0, ranks).Select(_ => StartWorker(how)).ToArray();
        try
        {
            var addresses = string.Join(' ', workers.Select(worker => ReadLine(worker, "a worker")));
            for (var rank = 0; rank < ranks; rank++) workers[rank].StandardInput.WriteLine($"{rank} {addresses}");
            return ReadSeconds(workers[0]);
        }
        finally
        {
            Array.ForEach(workers, End);
        }
    }

    /// <summary>Reads one number a case from rank 0's standard output.</summary>
    internal static double[] ReadSeconds(Process rank0) =>
        [.. AllReduceCase.All.Select(_ => double.Parse(ReadLine(rank0, "rank 0"), CultureInfo.InvariantCulture))];

    internal static void End(Process process)
    {
        if (!process.WaitForExit(TimeSpan.FromSeconds(10))) process.Kill();
        process.Dispose();
    }

    private static string ReadLine(Process worker, string who) =>
        worker.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"{who} ended early; its reason is on stderr.");

    private static Process StartWorker(string? how)
    {
        var program = Environment.ProcessPath!;
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(program) == "dotnet") start.ArgumentList.Add(typeof(AllReduceWorker).Assembly.Location);
        start.ArgumentList.Add(AllReduceWorker.Verb);
        if (how is not null) start.ArgumentList.Add(how);
        return Process.Start(start)!;
    }
}
