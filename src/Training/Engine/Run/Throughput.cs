namespace Phi3VCluster.Training.Engine;

/// <summary>Images and tokens of the run's committed steps against the time they took, evaluation and export not counted.</summary>
internal sealed class Throughput
{
    private const int RecentSteps = 20;
    private readonly Queue<(long Images, long Tokens, double Seconds)> _recent = new();
    private double _recentSeconds;
    private long _recentImages, _recentTokens;

    public long Images { get; private set; }
    public long Tokens { get; private set; }
    public double Seconds { get; private set; }

    public double ImagesPerSecond => Seconds > 0 ? Images / Seconds : 0;

    /// <summary>Over the last steps: what a progress display should show.</summary>
    public double RecentImagesPerSecond => _recentSeconds > 0 ? _recentImages / _recentSeconds : 0;

    /// <summary>The median of the last steps: one slow step says nothing of those to come. Null before the first.</summary>
    public double? RecentStepSeconds
    {
        get
        {
            double[] seconds = [.. _recent.Select(step => step.Seconds).Order()];
            return seconds.Length == 0 ? null : (seconds[(seconds.Length - 1) / 2] + seconds[seconds.Length / 2]) / 2;
        }
    }

    public double RecentTokensPerSecond => _recentSeconds > 0 ? _recentTokens / _recentSeconds : 0;

    /// <summary>As if these steps had been added, and no other.</summary>
    public void Rebuild(IReadOnlyList<StepRecord> steps)
    {
        (Images, Tokens, Seconds, _recentSeconds, _recentImages, _recentTokens) = (0, 0, 0, 0, 0, 0);
        _recent.Clear();
        foreach (var step in steps) Add(step.Images, step.Tokens, step.Seconds);
    }

    public void Add(long images, long tokens, double seconds)
    {
        (Images, Tokens, Seconds) = (Images + images, Tokens + tokens, Seconds + seconds);
        _recent.Enqueue((images, tokens, seconds));
        (_recentImages, _recentTokens, _recentSeconds) = (_recentImages + images, _recentTokens + tokens, _recentSeconds + seconds);
        if (_recent.Count <= RecentSteps) return;
        var oldest = _recent.Dequeue();
        (_recentImages, _recentTokens, _recentSeconds) =
            (_recentImages - oldest.Images, _recentTokens - oldest.Tokens, _recentSeconds - oldest.Seconds);
    }
}
