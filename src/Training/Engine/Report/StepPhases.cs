namespace Phi3VCluster.Training.Engine;

/// <summary>Where this seat's time went within committed steps, generation by generation.</summary>
internal sealed class StepPhases(PhaseClock clock)
{
    private readonly Dictionary<long, (long Steps, Dictionary<string, double> Seconds)> _generations = [];
    private IReadOnlyDictionary<string, double> _before = new Dictionary<string, double>();

    /// <summary>A step begins; one that is broken off is forgotten with the next.</summary>
    public void Begin() => _before = clock.Seconds;

    public void Committed(long generation)
    {
        var (steps, sums) = _generations.TryGetValue(generation, out var known) ? known : (0, []);
        foreach (var (phase, seconds) in clock.Seconds)
            sums[phase] = sums.GetValueOrDefault(phase) + seconds - _before.GetValueOrDefault(phase);
        _generations[generation] = (steps + 1, sums);
    }

    /// <returns>Seconds of a step on average; null where this seat trained none in that generation.</returns>
    public IReadOnlyDictionary<string, double>? Of(long generation) => _generations.TryGetValue(generation, out var known)
        ? known.Seconds.ToDictionary(phase => phase.Key, phase => phase.Value / known.Steps)
        : null;
}
