using Phi3VCluster.Client.Cluster;

namespace Phi3VCluster.Client.Tests.Cluster;

public sealed class InsistenceTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(20), Never = TimeSpan.FromHours(1);

    private int _asked;

    [Fact]
    public async Task A_question_that_is_lost_is_asked_again_and_the_first_answer_counts() =>
        Assert.Equal(3, await AskAsync(new(Soon, Never, Never), n => n < 3 ? new TaskCompletionSource<int>().Task : Task.FromResult(n)));

    [Fact]
    public async Task An_answer_that_is_late_counts_too()
    {
        var first = new TaskCompletionSource<int>();

        Assert.Equal(1, await AskAsync(new(Soon, Never, Never), n =>
        {
            if (n == 3) first.SetResult(1);
            return n == 1 ? first.Task : new TaskCompletionSource<int>().Task;
        }));
    }

    [Fact]
    public async Task A_refusal_that_may_pass_is_no_answer() =>
        Assert.Equal(3, await AskAsync(new(Never, Soon, Never), n => n < 3 ? Refusal() : Task.FromResult(n)));

    [Fact]
    public async Task One_that_does_not_pass_or_lasts_too_long_is_thrown()
    {
        await Assert.ThrowsAsync<InvalidOperationException>(() => AskAsync(new(Never, Soon, Never), _ => Refusal(), passes: false));
        await Assert.ThrowsAsync<InvalidOperationException>(() => AskAsync(new(Never, Soon, most: TimeSpan.Zero), _ => Refusal()));
        Assert.Equal(2, _asked);
    }

    [Fact]
    public async Task Silence_is_silence() => await Assert.ThrowsAsync<TimeoutException>(
        () => AskAsync(new(Never, Soon, Never), _ => Task.FromException<int>(new TimeoutException())));

    private Task<int> AskAsync(Insistence insistence, Func<int, Task<int>> question, bool passes = true) =>
        insistence.AskAsync(() => question(++_asked), _ => Task.FromResult(passes));

    private static Task<int> Refusal() => Task.FromException<int>(new InvalidOperationException());
}
