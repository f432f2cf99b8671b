using Phi3VCluster.Spec;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Tests.Data;

public sealed class PrefetcherTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void Batches_arrive_in_order_and_then_it_is_over(int threadCount)
    {
        using var prefetcher = new Prefetcher(Batches(50), Encode, threadCount: threadCount);

        for (var step = 0; step < 50; step++)
        {
            var prepared = prefetcher.Take()!;
            Assert.Equal(step, prepared.Batch.Step);
            Assert.Equal([$"1/{2 * step}", $"1/{2 * step + 1}"], prepared.Samples.Select(sample => sample.Id));
        }
        Assert.Null(prefetcher.Take());
        Assert.Null(prefetcher.Take());
    }

    [Fact]
    public void No_more_is_prepared_than_fits_the_bound()
    {
        const int batchBytes = 2 * 1000;
        var begun = 0;
        using var full = new SemaphoreSlim(0);
        using var prefetcher = new Prefetcher(Endless(() =>
        {
            // The sequence is asked for batch n + 1 only when there is room: the third is the first that must wait.
            if (Interlocked.Increment(ref begun) == 2) full.Release();
        }), Encode, maxBytes: 2 * batchBytes);

        full.Wait();
        Assert.NotNull(prefetcher.Take());
        for (var step = 1; step < 20; step++)
        {
            Assert.NotNull(prefetcher.Take());
            // Taken, two that wait, and the one that begins as soon as this one was taken.
            Assert.InRange(Volatile.Read(ref begun), step + 1, step + 3);
        }
    }

    [Fact]
    public void A_bad_sample_is_thrown_when_its_turn_comes_and_not_before()
    {
        using var prefetcher = new Prefetcher(Batches(10), (epoch, index) => index == 5 ? throw new InputException("row 5 is bad") : Encode(epoch, index));

        Assert.Equal(0, prefetcher.Take()!.Batch.Step);
        Assert.Equal(1, prefetcher.Take()!.Batch.Step);
        Assert.Equal("row 5 is bad", Assert.Throws<InputException>(prefetcher.Take).Message);
        Assert.Equal("row 5 is bad", Assert.Throws<InputException>(prefetcher.Take).Message);
    }

    [Fact]
    public void A_fault_of_the_sequence_itself_is_thrown_too()
    {
        using var prefetcher = new Prefetcher(Endless(() => throw new InvalidOperationException("no order")), Encode);

        Assert.Equal("no order", Assert.Throws<InvalidOperationException>(prefetcher.Take).Message);
    }

    [Fact]
    public void Disposal_frees_a_rank_that_waits()
    {
        using var begun = new SemaphoreSlim(0);
        using var never = new ManualResetEventSlim();
        var prefetcher = new Prefetcher(Batches(1), (epoch, index) =>
        {
            begun.Release();
            never.Wait();
            return Encode(epoch, index);
        });
        var waiting = Task.Factory.StartNew(prefetcher.Take, TaskCreationOptions.LongRunning);
        begun.Wait();

        prefetcher.Dispose();

        Assert.Throws<OperationCanceledException>(() => waiting.GetAwaiter().GetResult());
        Assert.Throws<OperationCanceledException>(prefetcher.Take);
        never.Set();
    }

    private static IEnumerable<MicroBatch> Batches(int count) => Endless(() => { }).Take(count);

    private static IEnumerable<MicroBatch> Endless(Action before)
    {
        for (var step = 0; ; step++)
        {
            before();
            yield return new(1, step, [2 * step, 2 * step + 1]);
        }
    }

    private static EncodedSample Encode(int epoch, int index) => new($"{epoch}/{index}", [], [], [new(new byte[1000], 1, 1, 1)]);
}
