namespace Phi3VCluster.Grains.Tests;

internal static class Eventually
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Waits until what <paramref name="look"/> sees is good; if that never happens, says what it saw last.</summary>
    public static async Task<T> SeeAsync<T>(string what, Func<Task<T>> look, Func<T, bool> good)
    {
        using var deadline = new CancellationTokenSource(Patience);
        while (true)
        {
            var seen = await look();
            if (good(seen)) return seen;
            if (deadline.IsCancellationRequested) Assert.Fail($"never happened: {what}; last seen: {seen}");
            await Task.Delay(TimeSpan.FromMilliseconds(10));
        }
    }

    public static Task SeeAsync(string what, Func<bool> good) => SeeAsync(what, () => Task.FromResult(good()), seen => seen);
}
