using System.Diagnostics;

namespace Phi3VCluster.Bench;

/// <summary>Repeats and takes the median: one disturbed repetition changes nothing.</summary>
internal static class Timing
{
    /// <returns>Median seconds of one call.</returns>
    public static double Median(int warmUps, int repetitions, Action work)
    {
        for (var i = 0; i < warmUps; i++) work();
        var seconds = new double[repetitions];
        for (var i = 0; i < repetitions; i++)
        {
            var start = Stopwatch.GetTimestamp();
            work();
            seconds[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        Array.Sort(seconds);
        return seconds[repetitions / 2];
    }
}
