using System.Diagnostics;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>Waits for conditions, not for time.</summary>
public static class Eventually
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);

    /// <param name="what">What did not happen, for the message.</param>
    public static async Task Holds(Func<bool> condition, TimeSpan timeout, string what)
    {
        var since = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(since.Elapsed < timeout, $"Not within {timeout.TotalSeconds} s: {what}");
            await Task.Delay(Poll);
        }
    }
}
