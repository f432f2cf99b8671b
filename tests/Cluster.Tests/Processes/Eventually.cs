using System.Diagnostics;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>Waits for conditions, not for time.</summary>
public static class Eventually
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);

    /// <param name="what">What did not happen, for the message.</param>
    public static Task Holds(Func<bool> condition, TimeSpan timeout, string what) =>
        Holds(() => Task.FromResult(condition()), timeout, () => what);

    /// <param name="what">Asked when it did not happen.</param>
    public static async Task Holds(Func<Task<bool>> condition, TimeSpan timeout, Func<string> what)
    {
        var since = Stopwatch.StartNew();
        while (!await condition())
        {
            if (since.Elapsed >= timeout) Assert.Fail($"Not within {timeout.TotalSeconds} s: {what()}");
            await Task.Delay(Poll);
        }
    }
}
