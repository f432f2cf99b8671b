using System.Diagnostics;

namespace Phi3VCluster.Client.Views;

/// <summary>Says of work that goes through phases how long the present one has taken, and how long it will.</summary>
internal sealed class PhaseWatch
{
    private static readonly TimeSpan Settled = TimeSpan.FromSeconds(2); // an estimate before is noise

    private readonly Stopwatch _clock = Stopwatch.StartNew();

    /// <summary>The newest phase.</summary>
    public string Phase { get; private set; } = "";

    public double Seconds => _clock.Elapsed.TotalSeconds;

    /// <summary>To be told of each phase as it is seen.</summary>
    public void Enter(string phase)
    {
        if (phase == Phase) return;
        Phase = phase;
        _clock.Restart();
    }

    /// <param name="share">Of the phase that is done, 0 to 1; null where nobody knows.</param>
    /// <param name="part">The same in words, or empty.</param>
    public string Line(string phase, double? share, string part)
    {
        Enter(phase);
        var words = new List<string> { phase };
        if (part.Length > 0) words.Add(part);
        words.Add(Words.Duration(Seconds));
        if (share is > 0 and < 1 && _clock.Elapsed > Settled) words.Add($"ETA {Words.Duration(Seconds / share.Value * (1 - share.Value))}");
        return string.Join("  ", words);
    }
}
