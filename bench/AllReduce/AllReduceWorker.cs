using System.Globalization;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.AllReduce;

/// <summary>
/// One rank in a process of its own. Says its address on standard output, reads "rank address address …" from standard input, and
/// rank 0 then says one line a case: the median seconds.
/// </summary>
internal static class AllReduceWorker
{
    public const string Verb = "all-reduce-worker";

    private static readonly TimeSpan MeetingPatience = TimeSpan.FromMinutes(1);

    /// <summary>Instead of certificates: as between machines, in the clear.</summary>
    public const string Far = "far";

    /// <param name="how">Null: as on one machine; else <see cref="Far"/>, or with TLS and the certificates of that folder.</param>
    public static int Run(string? how)
    {
        LibTorch.Load();
        set_num_threads(1);
        var endpoint = new TcpEndpoint("127.0.0.1", how is null or Far ? null : new RankCertificate(how), isLocalToo: how is null);
        Console.WriteLine(endpoint.Address);
        var words = Console.ReadLine()!.Split(' ');
        var rank = int.Parse(words[0], CultureInfo.InvariantCulture);
        using var patience = new CancellationTokenSource(MeetingPatience);
        using var world = endpoint.Connect(1, rank, words[1..], patience.Token);
        foreach (var one in AllReduceCase.All)
        {
            using var buffer = zeros(one.Bytes / sizeof(float));
            var seconds = Timing.Median(one.WarmUps, one.Repetitions, () => world.AllReduce(buffer));
            if (rank == 0) Console.WriteLine(seconds.ToString("R", CultureInfo.InvariantCulture));
        }
        return 0;
    }
}
