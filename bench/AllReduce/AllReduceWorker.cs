using System.Globalization;
using Phi3VCluster.Training;
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

    public static int Run()
    {
        LibTorch.Load();
        set_num_threads(1);
        var endpoint = Catalog<ICollectiveBackend>.Find("tcp", "all-reduce").Open("127.0.0.1");
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
