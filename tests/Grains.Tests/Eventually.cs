namespace Phi3VCluster.Grains.Tests;

internal static class Eventually
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <summary>
    /// Waits until what <paramref name="look"/> sees is good; if that never happens, says what it saw last. A question that was on its way
    /// to a silo when that died is answered by nobody, so one that times out is asked again.
    /// </summary>
    public static async Task<T> SeeAsync<T>(string what, Func<Task<T>> look, Func<T, bool> good)
    {
        using var deadline = new CancellationTokenSource(Patience);
        object? last = null;
        while (true)
        {
            try
            {
                var seen = await look();
                if (good(seen)) return seen;
                last = seen;
            }
            catch (TimeoutException)
            {
                last = "no answer";
            }
            if (deadline.IsCancellationRequested) Assert.Fail($"never happened: {what}; last seen: {last}");
            await Task.Delay(TimeSpan.FromMilliseconds(10));
        }
    }

    public static Task SeeAsync(string what, Func<bool> good) => SeeAsync(what, () => Task.FromResult(good()), seen => seen);
}
