namespace Phi3VCluster.Bench.AllReduce;

/// <summary>What encryption costs the tcp collective: over TCP with TLS, and in the clear.</summary>
internal sealed class RingTlsBenchmark : IBenchmark
{
    /// <summary>Both take turns, and each case's fastest median counts, as in <see cref="AllReduceBenchmark"/>.</summary>
    private const int Rounds = 3;

    private static readonly int[] WorldSizes = [2, 4];

    public string Name => "ring-tls";

    public string Description => "tcp ring all-reduce as between machines, 2 and 4 processes, with TLS; beside the same in the clear";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        var folder = Directory.CreateTempSubdirectory("phi3v-bench-tls");
        try
        {
            RankCertificate.Make(folder.FullName);
            foreach (var ranks in WorldSizes)
            {
                double[]? tls = null, clear = null;
                for (var round = 0; round < Rounds; round++)
                {
                    tls = AllReduceBenchmark.Fastest(tls, AllReduceBenchmark.MeasureOurs(ranks, folder.FullName));
                    clear = AllReduceBenchmark.Fastest(clear, AllReduceBenchmark.MeasureOurs(ranks, AllReduceWorker.Far));
                }
                foreach (var (one, index) in AllReduceCase.All.Select((one, index) => (one, index)))
                    yield return new($"{ranks} ranks, {one.Label}", tls![index] * 1e3, "ms")
                    {
                        Peer = "clear",
                        PeerMeasured = clear![index] * 1e3,
                    };
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
