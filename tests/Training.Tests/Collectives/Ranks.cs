using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Tests.Collectives;

/// <summary>Ranks of one generation as threads of this process.</summary>
internal static class Ranks
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <summary>Connects a world, runs the work on each rank's thread and hands out its results by rank.</summary>
    public static T[] Run<T>(ICollectiveBackend backend, int worldSize, Func<ICollective, T> work)
    {
        var outcomes = Try(backend, worldSize, work);
        foreach (var outcome in outcomes)
            if (outcome.Failure is { } failure) throw new InvalidOperationException(failure.Message, failure);
        return [.. outcomes.Select(outcome => outcome.Result!)];
    }

    /// <summary>The same, with what each rank's work threw.</summary>
    public static (T? Result, Exception? Failure)[] Try<T>(ICollectiveBackend backend, int worldSize, Func<ICollective, T> work)
    {
        LibTorch.Load();
        var endpoints = Enumerable.Range(0, worldSize).Select(_ => backend.Open("127.0.0.1")).ToArray();
        var addresses = endpoints.Select(endpoint => endpoint.Address).ToArray();
        return OnThreads(worldSize, rank =>
        {
            using var stop = new CancellationTokenSource(Patience);
            using var collective = endpoints[rank].Connect(1, rank, addresses, stop.Token);
            return work(collective);
        });
    }

    /// <summary>Runs one function on a thread a rank and waits for all.</summary>
    public static (T? Result, Exception? Failure)[] OnThreads<T>(int count, Func<int, T> work)
    {
        var outcomes = new (T? Result, Exception? Failure)[count];
        void Record(int rank)
        {
            try
            {
                outcomes[rank] = (work(rank), null);
            }
            catch (Exception failure)
            {
                outcomes[rank] = (default, failure);
            }
        }
        var threads = Enumerable.Range(0, count).Select(rank => new Thread(() => Record(rank)) { IsBackground = true }).ToArray();
        foreach (var thread in threads) thread.Start();
        for (var rank = 0; rank < count; rank++)
            Assert.True(threads[rank].Join(Patience), $"rank {rank} of {count} is still blocked");
        return outcomes;
    }
}
