namespace Phi3VCluster.Client.Supervision;

/// <summary>When a process that died is started again: at once at first, later and later while it goes on dying.</summary>
internal sealed class Restarts(TimeProvider time)
{
    public static readonly TimeSpan Remembered = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan First = TimeSpan.FromMilliseconds(500), Longest = TimeSpan.FromSeconds(30);

    private readonly Queue<long> _deaths = new();

    /// <summary>Deaths in the last minute, as of the newest.</summary>
    public int Recent => _deaths.Count;

    /// <summary>It has died.</summary>
    /// <returns>How long to wait before it is started again.</returns>
    public TimeSpan Next()
    {
        while (_deaths.TryPeek(out var oldest) && time.GetElapsedTime(oldest) > Remembered) _deaths.Dequeue();
        _deaths.Enqueue(time.GetTimestamp());
        var wait = First * Math.Pow(2, _deaths.Count - 1);
        return wait < Longest ? wait : Longest;
    }
}
