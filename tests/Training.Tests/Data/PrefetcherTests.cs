using Phi3VCluster.Spec;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Tests.Data;

public sealed class PrefetcherTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void Items_arrive_in_order_and_then_it_is_over(int threadCount)
    {
        using var prefetcher = Start(Numbers(50), Prepare, threadCount: threadCount);

        for (var number = 0; number < 50; number++) Assert.Equal($"{number}", prefetcher.Take());
        Assert.Null(prefetcher.Take());
        Assert.Null(prefetcher.Take());
    }

    [Fact]
    public void No_more_is_prepared_than_fits_the_bound()
    {
        const int itemBytes = 1000;
        var begun = 0;
        using var full = new SemaphoreSlim(0);
        using var prefetcher = Start(Endless(() =>
        {
            // The sequence is asked for item n + 1 only when there is room: the third is the first that must wait.
            if (Interlocked.Increment(ref begun) == 2) full.Release();
        }), Prepare, bytes: itemBytes, maxBytes: 2 * itemBytes);

        full.Wait();
        Assert.NotNull(prefetcher.Take());
        for (var number = 1; number < 20; number++)
        {
            Assert.NotNull(prefetcher.Take());
            // Taken, two that wait, and the one that begins as soon as this one was taken.
            Assert.InRange(Volatile.Read(ref begun), number + 1, number + 3);
        }
    }

    [Fact]
    public void What_is_taken_in_one_go_is_prepared_whatever_its_size()
    {
        var begun = 0;
        using var prefetcher = Start(Endless(() => Interlocked.Increment(ref begun)), Prepare, bytes: 1000, maxBytes: 1, minItems: 3);

        SpinWait.SpinUntil(() => Volatile.Read(ref begun) >= 3);
        for (var number = 1; number < 20; number++)
        {
            prefetcher.Take();
            SpinWait.SpinUntil(() => Volatile.Read(ref begun) >= number + 3);
            Assert.Equal(number + 3, Volatile.Read(ref begun));
        }
    }

    [Fact]
    public void A_bad_item_is_thrown_when_its_turn_comes_and_not_before()
    {
        using var prefetcher = Start(Numbers(10), number => number == 2 ? throw new InputException("row 5 is bad") : Prepare(number));

        Assert.Equal("0", prefetcher.Take());
        Assert.Equal("1", prefetcher.Take());
        Assert.Equal("row 5 is bad", Assert.Throws<InputException>(prefetcher.Take).Message);
        Assert.Equal("row 5 is bad", Assert.Throws<InputException>(prefetcher.Take).Message);
    }

    [Fact]
    public void A_fault_of_the_sequence_itself_is_thrown_too()
    {
        using var prefetcher = Start(Endless(() => throw new InvalidOperationException("no order")), Prepare);

        Assert.Equal("no order", Assert.Throws<InvalidOperationException>(prefetcher.Take).Message);
    }

    [Fact]
    public void Disposal_frees_a_rank_that_waits()
    {
        using var begun = new SemaphoreSlim(0);
        using var never = new ManualResetEventSlim();
        var prefetcher = Start(Numbers(1), number =>
        {
            begun.Release();
            never.Wait();
            return Prepare(number);
        });
        var waiting = Task.Factory.StartNew(prefetcher.Take, TaskCreationOptions.LongRunning);
        begun.Wait();

        prefetcher.Dispose();

        Assert.Throws<OperationCanceledException>(() => waiting.GetAwaiter().GetResult());
        Assert.Throws<OperationCanceledException>(prefetcher.Take);
        never.Set();
    }

    private static Prefetcher<int, string> Start(
        IEnumerable<int> numbers, Func<int, string> prepare, long bytes = 1, long maxBytes = Prefetcher<int, string>.DefaultMaxBytes,
        int minItems = 1, int threadCount = 1) =>
        new(numbers, prepare, _ => bytes, maxBytes, minItems, threadCount);

    private static IEnumerable<int> Numbers(int count) => Enumerable.Range(0, count);

    private static IEnumerable<int> Endless(Action before)
    {
        for (var number = 0; ; number++)
        {
            before();
            yield return number;
        }
    }

    private static string Prepare(int number) => $"{number}";
}
